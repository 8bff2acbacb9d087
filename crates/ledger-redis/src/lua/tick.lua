-- Delivers due timers and takes expired leases back. Beside `expire.lua` and `word.lua`.
local max = take_number()
local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', int(NOW), 'LIMIT', 0, max)
end

local timers = 0
for _, text in ipairs(due(TIMERS)) do
  local run, name = text:match('^(%S+) (.*)$')
  local tenant, awaited = call('HGET', run_key(run), 'tenant'), name:match('^await (.*)$')
  call('ZREM', TIMERS, text)
  call('SREM', BASE .. 'timers:' .. run, name)
  if awaited then
    word_in_vain(run, tenant, awaited)
  else
    mail(run, tenant, 'Timer', name)
  end
  timers = timers + 1
end

local leases = 0
for _, text in ipairs(due(LEASES)) do
  local run, number = of_member(text)
  expire(run, number)
  leases = leases + 1
end

local next_ms
for _, key in ipairs({ LEASES, TIMERS }) do
  local at = tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  if at and (not next_ms or at - NOW < next_ms) then
    next_ms = at - NOW
  end
end
return answer({ int(timers), int(leases), next_ms and int(math.max(next_ms, 0)) or '' })
