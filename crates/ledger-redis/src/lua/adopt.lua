-- Runs outside the frame, before the scripts are loaded into a server: raises the epoch
-- when the server has restarted, is another one, or has lost an epoch that a client knows.
-- A server keeps no scripts over a restart, so one that knows a ledger's scripts has been
-- adopted for it: nothing is ever leased under an epoch from before a restart.
local META, LAYOUT = '@BASE@meta', '1'
local known, cluster, shards = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local row = redis.call('HMGET', META, 'epoch', 'server', 'layout', 'cluster', 'nonce', 'shards')
if row[3] and row[3] ~= LAYOUT then
  return { 'Layout', row[3] }
end
if row[4] and row[4] ~= cluster then
  return { 'Cluster', row[4] }
end
if row[3] and (row[6] or '1') ~= shards then
  return { 'Shards', row[6] or '1' }
end
local server = redis.call('INFO', 'server'):match('run_id:(%x+)')
local epoch = tonumber(row[1] or 0)
if row[2] ~= server or epoch < known then
  epoch = math.max(epoch, known) + 1
  -- A server that lost its last second may have lost an epoch, which is then given again:
  -- nonces begin at the time, so that no token is.
  local clock = redis.call('TIME')
  local nonce = math.max(tonumber(row[5] or 0), clock[1] * 1000000 + clock[2])
  redis.call('HSET', META, 'epoch', string.format('%.0f', epoch), 'server', server,
    'layout', LAYOUT, 'shards', shards, 'cluster', cluster, 'nonce', string.format('%.0f', nonce))
elseif not row[4] then
  redis.call('HSET', META, 'cluster', cluster)
end
return { 'Ok', string.format('%.0f', epoch) }
