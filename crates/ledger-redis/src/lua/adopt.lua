-- Runs outside the frame, before the scripts are loaded into a server: raises the epoch
-- when the server has restarted, is another one, or has lost an epoch that a client knows.
-- A server keeps no scripts over a restart, so one that knows a ledger's scripts has been
-- adopted for it: nothing is ever leased under an epoch from before a restart.
local META, LAYOUT = '@BASE@meta', '1'
local row = redis.call('HMGET', META, 'epoch', 'server', 'layout')
if row[3] and row[3] ~= LAYOUT then
  return { 'Layout', row[3] }
end
local server = redis.call('INFO', 'server'):match('run_id:(%x+)')
local epoch, known = tonumber(row[1] or 0), tonumber(ARGV[1])
if row[2] ~= server or epoch < known then
  epoch = math.max(epoch, known) + 1
  redis.call('HSET', META, 'epoch', string.format('%.0f', epoch), 'server', server,
    'layout', LAYOUT)
end
return { 'Ok', string.format('%.0f', epoch) }
