-- Gives room for a call, or says what there is none in and when to ask again.
local permit, agent, agent_max = take(), take(), tonumber(take())
local tokens, ttl, terms = tonumber(take()), tonumber(take()), take_terms()
local function admitted()
  call('ZADD', ENDS, int(NOW + ttl), permit)
  keep()
  return { 'Ok', 'Admitted' }
end
if call('HEXISTS', ACCOUNT, 'permit:' .. permit) == 1 then
  return admitted()
end
for _, ended in ipairs(call('ZRANGEBYSCORE', ENDS, '-inf', int(NOW), 'LIMIT', 0, EXPIRED_MAX)) do
  permit_removed(ended)
  breaker_vanished(ended)
end
local function wait(bound, ms)
  return { 'Ok', bound, int(math.max(ms, 1)) }
end
if not terms.breaker then
  call('HDEL', ACCOUNT, 'open_until', 'probe', 'half', 'calls', 'failed', 'last_calls',
    'last_failed')
end
local open_until, paused_until = number('open_until'), number('paused_until')
if open_until > NOW then
  return wait('breaker', open_until - NOW)
end
if call('HEXISTS', ACCOUNT, 'probe') == 1 then
  return wait('breaker', PERMIT_WAIT_MS)
end
if paused_until > NOW then
  return wait('pause', paused_until - NOW)
end
if terms.concurrency and call('ZCARD', ENDS) >= terms.concurrency then
  return wait('concurrency', PERMIT_WAIT_MS)
end
if number('agent:' .. agent) >= agent_max then
  return wait('agent_concurrency', PERMIT_WAIT_MS)
end
if terms.requests then
  local ms = meter_wait('requests', terms.requests, 1)
  if ms > 0 then
    return wait('requests_per_minute', ms)
  end
end
local taken = 0
if terms.tokens then
  local ms = meter_wait('tokens', terms.tokens, tokens)
  if ms > 0 then
    return wait('tokens_per_minute', ms)
  end
  taken = meter_take('tokens', terms.tokens, tokens)
end
if terms.requests then
  meter_take('requests', terms.requests, 1)
end
if open_until ~= 0 then
  set('probe', permit)
end
call('HINCRBY', ACCOUNT, 'agent:' .. agent, 1)
set('permit:' .. permit, int(taken) .. ' ' .. agent)
return admitted()
