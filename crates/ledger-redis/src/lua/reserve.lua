-- Sets part of the root's budget aside for a call by this attempt.
local run, number, token, at, amount = take(), take(), take(), take(), take()
local key = task_key(run, number)
if standing(key, token) ~= 'held' then
  return refuse('LeaseLost')
end
if is_repeated(key, 'reserved_call', at) then
  return answer({})
end
local beyond = set_aside(call('HGET', run_key(run), 'root'), amount)
if beyond then
  return refuse('BudgetSpent', beyond)
end
call('HSET', key, 'reserved', spend_add(call('HGET', key, 'reserved'), amount), 'reserved_call', at)
return answer({})
