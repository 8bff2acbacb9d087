-- Takes the room of a call back, with what the call says of its account.
local permit, used, health, pause_ms = take(), take(), take(), tonumber(take())
local terms = take_terms()
local taken = permit_removed(permit)
if not taken then
  return { 'Ok' }
end
if terms.tokens and used ~= '' then
  meter_correct('tokens', terms.tokens, taken, tonumber(used))
end
if pause_ms > 0 then
  local until_then = NOW + math.min(pause_ms, PAUSE_MS_MAX)
  set('paused_until', int(math.max(number('paused_until'), until_then)))
end
if terms.breaker then
  breaker_ended(permit, health, terms.breaker)
else
  breaker_reset(0)
end
keep()
return { 'Ok' }
