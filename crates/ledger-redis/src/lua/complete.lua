-- Records the outcome of a task, once, and has its run decide. Beside `create.lua`.
local run, number, token, outcome, spend, estimated = take(), take(), take(), take(), take(), take()
local key = task_key(run, number)
local stands = standing(key, token)
if stands ~= 'held' then
  return refuse(stands == 'done' and 'AlreadyDone' or 'LeaseLost')
end
local task = fields(key, 'class', 'reserved', 'spent', 'estimated', 'holder')
if task[1] == DECIDE then
  return refuse('Invalid', 'task ' .. number .. ' is a decision: commit it')
end
local bodies = take_bodies()

local row = fields(run_key(run), 'tenant', 'root', 'end')
if not row[3] then
  store_bodies(row[1], row[2], bodies)
end
pay(run, row[2], task[2], spend)
lease_end(run, number, row[1], task[1], task[5])
task_over(run, number, token)
if task[4] then
  estimated = '1'
end
mail(run, row[1], 'Outcome ' .. number .. ' ' .. estimated .. ' ' .. spend_add(task[3], spend),
  outcome)
return answer({})
