-- Taking a lease back, because it was not extended or its holder is dead.
local ATTEMPTS_MAX = 5
-- A call that may have begun, and whose usage is not known, counts in full.
local function expire(run, number)
  local key, run_row = task_key(run, number), fields(run_key(run), 'tenant', 'root')
  local task = fields(key, 'class', 'reserved', 'spent', 'attempt', 'withdrawn', 'priority', 'age',
    'started', 'holder', 'cost')
  local tenant, class = run_row[1], task[1]
  if task[2] ~= NOTHING then
    pay(run, run_row[2], task[2], task[2])
    call('HSET', key, 'spent', spend_add(task[3], task[2]), 'reserved', NOTHING, 'estimated', '1')
  end
  lease_end(run, number, tenant, class, task[9])
  observe(run, 'Expired', number, task[4], class, '')
  if has_ended(run) then
    task_over(run, number, '')
  elseif task[8] then
    task_interrupted(run, number, tenant)
  elseif task[5] then
    task_lost(run, number, tenant, '1')
  elseif tonumber(task[4]) >= ATTEMPTS_MAX then
    task_lost(run, number, tenant, '0')
  else
    call('HSET', key, 'state', 'queued')
    call('HDEL', key, 'token', 'holder')
    enqueue(run, number, tenant, class, tonumber(task[6]), tonumber(task[7]),
      tonumber(task[10]))
  end
end
