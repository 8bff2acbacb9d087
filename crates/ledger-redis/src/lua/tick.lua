-- Delivers due timers and takes expired leases back.
local ATTEMPTS_MAX = 5
local max = take_number()
local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', int(NOW), 'LIMIT', 0, max)
end

local timers = 0
for _, text in ipairs(due(TIMERS)) do
  local run, name = text:match('^(%S+) (.*)$')
  call('ZREM', TIMERS, text)
  call('SREM', BASE .. 'timers:' .. run, name)
  mail(run, call('HGET', run_key(run), 'tenant'), 'Timer', name)
  timers = timers + 1
end

-- A call that may have begun, and whose usage is not known, counts in full.
local function expire(run, number)
  local key, run_row = task_key(run, number), fields(run_key(run), 'tenant', 'root')
  local task = fields(key, 'class', 'reserved', 'spent', 'attempt', 'withdrawn', 'priority', 'age')
  local tenant, class = run_row[1], task[1]
  if task[2] ~= NOTHING then
    release(run_row[2], task[2])
    spend_up(run, task[2])
    call('HSET', key, 'spent', spend_add(task[3], task[2]), 'reserved', NOTHING, 'estimated', '1')
  end
  lease_end(run, number, tenant, class)
  observe(run, 'Expired', number, task[4], class, '')
  if has_ended(run) then
    task_over(run, number, '')
  elseif task[5] then
    task_lost(run, number, tenant, '1')
  elseif tonumber(task[4]) >= ATTEMPTS_MAX then
    task_lost(run, number, tenant, '0')
  else
    call('HSET', key, 'state', 'queued')
    call('HDEL', key, 'token', 'holder')
    enqueue(run, number, tenant, class, tonumber(task[6]), tonumber(task[7]))
  end
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
