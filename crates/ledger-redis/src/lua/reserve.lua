-- Sets part of the root's budget aside for a call by this attempt.
local run, number, token, amount = take(), take(), take(), take()
local key = task_key(run, number)
if standing(key, token) ~= 'held' then
  return refuse('LeaseLost')
end
local root = run_key(call('HGET', run_key(run), 'root'))
local row = fields(root, 'budget', 'spent', 'reserved')
local beyond = spend_beyond(row[1], spend_add(spend_add(row[2], row[3]), amount))
if beyond then
  return refuse('BudgetSpent', beyond)
end
call('HSET', root, 'reserved', spend_add(row[3], amount))
call('HSET', key, 'reserved', spend_add(call('HGET', key, 'reserved'), amount))
return answer({})
