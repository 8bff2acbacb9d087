-- Tells a run a word from outside, once for each key. Beside `create.lua` and `word.lua`.
local SIGNALS_MAX = 1024
local run, key, event = take(), take(), take()
local bodies = take_bodies()
local row = fields(run_key(run), 'tenant', 'root', 'end')
if not row[1] then
  return refuse('NoSuchRun')
end
if row[3] then
  return answer({ 'AlreadyEnded' })
end
local known = call('HGET', signals_key(run), key)
if known then
  return answer({ known == CAME and 'AlreadyDelivered' or 'Expired' })
end
if call('HLEN', signals_key(run)) >= SIGNALS_MAX then
  return refuse('TooManySignals')
end
store_bodies(row[1], row[2], bodies)
local timer = 'await ' .. key
if call('SREM', BASE .. 'timers:' .. run, timer) == 1 then
  call('ZREM', TIMERS, run .. ' ' .. timer)
end
word_came(run, row[1], key, event)
return answer({ 'Delivered' })
