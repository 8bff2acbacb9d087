-- Has runs decide that wait for nothing: the next `max` unfinished ones in their order.
local max = take_number()
local last = call('HGET', META, 'looked_at')
local from = last and '(' .. last or '-'
local runs = max > 0 and call('ZRANGEBYLEX', BASE .. 'unended', from, '+', 'LIMIT', 0, max) or {}
local revived, PARKED_MS = 0, 60000

local function waits_for_nothing(run)
  if call('SISMEMBER', live_key(run), 0) == 1 then
    return false
  end
  local parked = call('HGET', run_key(run), 'parked')
  if parked and tonumber(parked) + PARKED_MS > NOW then
    return false
  end
  if call('EXISTS', mail_key(run)) == 1 then
    return true
  end
  if call('EXISTS', live_key(run), BASE .. 'timers:' .. run) > 0 then
    return false
  end
  for _, child in ipairs(call('ZRANGE', children_key(run), 0, -1)) do
    if not has_ended(child) then
      return false
    end
  end
  return true
end

for _, run in ipairs(runs) do
  if waits_for_nothing(run) then
    decide_add(run, call('HGET', run_key(run), 'tenant'))
    revived = revived + 1
  end
end
if #runs < max then
  call('HDEL', META, 'looked_at')
elseif #runs > 0 then
  call('HSET', META, 'looked_at', runs[#runs])
end
return answer({ int(#runs), int(revived) })
