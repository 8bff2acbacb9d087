-- Ends a decision that cannot be made; the run waits, with its mail unread.
local run, number, token = take(), take(), take()
local key = task_key(run, number)
local stands = standing(key, token)
if stands ~= 'held' then
  return refuse(stands == 'done' and 'AlreadyDone' or 'LeaseLost')
end
local row = fields(run_key(run), 'tenant', 'root')
local task = fields(key, 'reserved', 'holder')
pay(run, row[2], task[1], task[1])
lease_end(run, number, row[1], DECIDE, task[2])
task_over(run, number, token)
call('HSET', run_key(run), 'parked', int(NOW))
return answer({})
