-- Runs' rows, tenants' queues, leases: what several scripts do alike.
local function run_key(run)
  return BASE .. 'run:' .. run
end
local function task_key(run, number)
  return BASE .. 'task:' .. run .. ':' .. number
end
local function queue_key(class, tenant)
  return BASE .. 'queue:' .. class .. ':' .. tenant
end
local function ring_key(class)
  return BASE .. 'ring:' .. class
end
local function pass_key(class)
  return BASE .. 'pass:' .. class
end
local function tenant_key(tenant)
  return BASE .. 'tenant:' .. tenant
end
local function mail_key(run)
  return BASE .. 'mail:' .. run
end
local function children_key(run)
  return BASE .. 'children:' .. run
end
local function live_key(run)
  return BASE .. 'live:' .. run
end
local function signals_key(run)
  return BASE .. 'signals:' .. run
end
-- Leases of one holder, by when it last spoke.
local function held_key(holder)
  return BASE .. 'held:' .. holder
end
-- A task in a sorted set: in the order of runs, then of numbers, where scores are equal.
local function member(run, number)
  return run .. ' ' .. string.format('%010d', number)
end
local function of_member(text)
  local run, number = text:match('^(%S+) (%d+)$')
  return run, int(tonumber(number))
end
local LEASES = BASE .. 'leases'
local TIMERS = BASE .. 'timers'
local DECIDE = 'decide'

-- The terms of tenants never set: `TenantTerms::default`.
local WEIGHT, LEASED_MAX, RUNS_MAX = 100, 1024, 100000
-- `baton_ledger::BURST_TASKS`.
local BURST_TASKS = 8
-- Observations kept for a run, and for how long after the last one, in milliseconds.
local OBSERVED_MAX, OBSERVED_MS = 256, 3600000

local function fields(key, ...)
  return call('HMGET', key, ...)
end

-- ---- hints to waiting processes, published once all is done -------
local hints, newcomers, stirred, ended = {}, {}, {}, {}
local function hint(class)
  hints[class] = (hints[class] or 0) + 1
end
local function stir(run)
  stirred[run] = true
end
-- The virtual times of classes, and of which they were moved on here.
local times, moved = {}, {}
local function publish()
  for class in pairs(moved) do
    local known = times[class]
    call('HSET', META, 'now:' .. class, known.now, 'start:' .. class, known.start,
      'most:' .. class, known.most)
  end
  if next(hints) or next(stirred) then
    keep_time()
  end
  for class, count in pairs(hints) do
    call('PUBLISH', BASE .. 'ready', count .. ' ' .. class)
  end
  for class in pairs(newcomers) do
    call('PUBLISH', BASE .. 'newcomer', class)
  end
  for run in pairs(stirred) do
    call('PUBLISH', BASE .. 'stirred', run)
  end
  for run in pairs(ended) do
    call('PUBLISH', BASE .. 'ended', run)
  end
end
local function answer(parts)
  table.insert(parts, 1, 'Ok')
  return parts
end

local function observation(what, number, attempt, class, holder)
  return what .. ' ' .. number .. ' ' .. attempt .. ' ' .. #class .. '\n' .. class .. holder
end
local function observe(run, what, number, attempt, class, holder)
  local key = BASE .. 'observed:' .. run
  call('XADD', key, 'MAXLEN', '~', OBSERVED_MAX, '*', 'o',
    observation(what, number, attempt, class, holder))
  -- Of a run, nothing follows for long without a decision.
  if class == DECIDE then
    call('PEXPIRE', key, OBSERVED_MS)
  end
  stir(run)
end

-- ---- fairness among tenants: stride scheduling in virtual time ---------------------
-- The pass of what was handed out last; since when something has been waiting all the while;
-- the furthest pass of all.
local function virtual_times(class)
  local known = times[class]
  if not known then
    local row = fields(META, 'now:' .. class, 'start:' .. class, 'most:' .. class)
    local now = tonumber(row[1] or 0)
    -- An earlier version moves the first of them alone.
    known = { now = now, start = tonumber(row[2] or 0), most = math.max(tonumber(row[3] or 0), now) }
    times[class] = known
  end
  return known
end
local function weight_of(tenant)
  return tonumber(call('HGET', tenant_key(tenant), 'weight') or WEIGHT)
end
local function stride(weight, cost)
  return math.max(math.floor(cost * 1000 / weight), 1)
end
-- Puts a tenant into the ring of a class whose next task has this cost: where it was, but
-- no further than a few tasks before the present, and not before something began to wait.
-- Its shard is to be asked soon where others are served there.
local function enter_ring(class, tenant, cost)
  local ring = ring_key(class)
  if call('ZSCORE', ring, tenant) then
    return hint(class)
  end
  call('SADD', BASE .. 'classes', class)
  if call('SISMEMBER', BASE .. 'parked:' .. tenant, class) == 1 then
    return
  end
  hint(class)
  local pass, known = tonumber(call('HGET', pass_key(class), tenant) or 0), virtual_times(class)
  if pass < known.now then
    pass = math.max(pass, known.now - BURST_TASKS * stride(weight_of(tenant), cost), known.start)
    if call('EXISTS', ring) == 1 then
      newcomers[class] = true
    end
  end
  call('ZADD', ring, pass, tenant)
end
-- Takes a tenant out of a ring; its pass is remembered, so that leaving earns nothing, until
-- nothing waits.
local function leave_ring(class, tenant, pass)
  call('ZREM', ring_key(class), tenant)
  call('HSET', pass_key(class), tenant, pass)
  if call('EXISTS', ring_key(class)) == 0 then
    local known = virtual_times(class)
    known.now, known.start, moved[class] = known.most, known.most, true
  end
end
-- A tenant at its cap is not polled: it waits outside until one of its leases ends.
local function park(class, tenant, pass)
  leave_ring(class, tenant, pass)
  call('SADD', BASE .. 'parked:' .. tenant, class)
end
local function at_cap(tenant)
  local row = fields(tenant_key(tenant), 'leased', 'leased_max')
  return tonumber(row[1] or 0) >= tonumber(row[2] or LEASED_MAX)
end
local function unpark(tenant)
  local key = BASE .. 'parked:' .. tenant
  local classes = call('SMEMBERS', key)
  if #classes == 0 or at_cap(tenant) then
    return
  end
  call('DEL', key)
  for _, class in ipairs(classes) do
    local head = call('ZRANGE', queue_key(class, tenant), 0, 0)[1]
    if head then
      enter_ring(class, tenant, tonumber(call('HGET', task_key(of_member(head)), 'cost')))
    end
  end
end

-- How many tasks of a tenant wait in a class, or are leased: for views alone.
local function count(what, tenant, class, by)
  local key, queue = BASE .. what, tenant .. ' ' .. class
  if call('ZINCRBY', key, by, queue) == '0' then
    call('ZREM', key, queue)
  end
end

-- Priority, then age. Ages stay below 2^40, so that the score is exact in a double.
local function enqueue(run, number, tenant, class, priority, age, cost)
  call('ZADD', queue_key(class, tenant), priority * 2 ^ 40 + age, member(run, number))
  count('queued', tenant, class, 1)
  enter_ring(class, tenant, cost)
end

-- ---- tasks -------------------------------------------------------------------------
local function task_add(run, tenant, task)
  local age = call('HINCRBY', META, 'age', 1)
  call('HSET', task_key(run, task.number), 'class', task.class, 'priority', task.priority,
    'cost', task.cost, 'reserve', task.reserve, 'age', age, 'state', 'queued', 'attempt', 0,
    'payload', task.payload, 'spent', NOTHING, 'reserved', NOTHING, 'at', int(NOW))
  call('SADD', live_key(run), task.number)
  enqueue(run, task.number, tenant, task.class, task.priority, age, task.cost)
end

-- At most one `decide` is outstanding for a run: it is always its task 0.
local function decide_add(run, tenant)
  if call('SISMEMBER', live_key(run), 0) == 0 then
    call('HDEL', run_key(run), 'parked')
    task_add(run, tenant, { number = 0, class = DECIDE, priority = 0, cost = 1,
      reserve = NOTHING, payload = '' })
  end
end

-- 'held', 'done' (finished under this very token) or nil.
local function standing(key, token)
  local row = fields(key, 'state', 'token', 'finished')
  if row[3] == token then
    return 'done'
  end
  if row[1] == 'leased' and row[2] == token then
    return 'held'
  end
end

local function lease_end(run, number, tenant, class, holder)
  call('ZREM', LEASES, member(run, number))
  if holder then
    call('ZREM', held_key(holder), member(run, number))
  end
  count('leased', tenant, class, -1)
  if class ~= DECIDE then
    call('HINCRBY', tenant_key(tenant), 'leased', -1)
    unpark(tenant)
  end
end

-- What is left of a task that is over: enough to know a repeated write.
local function task_over(run, number, token)
  local key = task_key(run, number)
  call('HSET', key, 'state', 'done', 'finished', token)
  call('HDEL', key, 'payload', 'token', 'reserved', 'holder', 'priority', 'cost', 'age', 'at',
    'reserve', 'unheld', 'reserved_call', 'settled_call', 'withdrawn', 'started')
  call('SREM', live_key(run), number)
end

local function unqueue(run, number, tenant, class)
  local queue = queue_key(class, tenant)
  call('ZREM', queue, member(run, number))
  count('queued', tenant, class, -1)
  local pass = call('EXISTS', queue) == 0 and call('ZSCORE', ring_key(class), tenant)
  if pass then
    leave_ring(class, tenant, pass)
  end
end

-- ---- runs --------------------------------------------------------------------------
-- Whether a run, or one of its ancestors, is to be cancelled, or an ancestor has ended.
local function stopped_above(all)
  for above in (all or ''):gmatch('%S+') do
    local flags = fields(run_key(above), 'cancel', 'end')
    if flags[1] or flags[2] then
      return true
    end
  end
  return false
end
local function told_to_stop(run)
  local row = fields(run_key(run), 'cancel', 'above')
  return row[1] and true or stopped_above(row[2])
end

local function has_ended(run)
  return call('HEXISTS', run_key(run), 'end') == 1
end

-- What a run spends, all above it spend.
local function spend_up(run, spend)
  if spend == NOTHING then
    return
  end
  local row = fields(run_key(run), 'spent', 'above')
  call('HSET', run_key(run), 'spent', spend_add(row[1], spend))
  for above in row[2]:gmatch('%S+') do
    call('HSET', run_key(above), 'spent', spend_add(call('HGET', run_key(above), 'spent'), spend))
  end
end
-- Whether an attempt has booked this call, or a later one: their numbers rise.
local function is_repeated(key, field, at)
  local last = call('HGET', key, field)
  return last and not wide_above(wide(at), wide(last))
end
-- Sets a part of the root's budget aside, or answers which resource does not hold it.
local function set_aside(root, amount)
  if amount == NOTHING then
    return
  end
  local key = run_key(root)
  local row = fields(key, 'budget', 'spent', 'reserved')
  local reserved = spend_add(row[3], amount)
  local beyond = spend_beyond(row[1], spend_add(row[2], reserved))
  if not beyond then
    call('HSET', key, 'reserved', reserved)
  end
  return beyond
end
-- Gives back to the root's budget what an attempt had set aside.
local function release(root, reserved)
  if reserved ~= NOTHING then
    local key = run_key(root)
    call('HSET', key, 'reserved', spend_sub(call('HGET', key, 'reserved'), reserved))
  end
end

-- What an attempt had set aside becomes what it spent.
local function pay(run, root, reserved, spend)
  if run ~= root or reserved == NOTHING or spend == NOTHING then
    release(root, reserved)
    return spend_up(run, spend)
  end
  local key = run_key(run)
  local row = fields(key, 'reserved', 'spent')
  call('HSET', key, 'reserved', spend_sub(row[1], reserved), 'spent', spend_add(row[2], spend))
end

-- Delivers mail and has the run decide; a run that has ended takes no mail.
local function mail(run, tenant, head, text)
  if has_ended(run) then
    return
  end
  local number = call('HINCRBY', run_key(run), 'mails', 1)
  call('RPUSH', mail_key(run), number .. ' ' .. int(NOW) .. ' ' .. head .. '\n' .. text)
  decide_add(run, tenant)
end

-- What may have been done is not done again.
local function task_interrupted(run, number, tenant)
  local spent = call('HGET', task_key(run, number), 'spent')
  task_over(run, number, '')
  mail(run, tenant, 'Interrupted ' .. number .. ' ' .. spent, '')
end
local function task_lost(run, number, tenant, dropped)
  local spent = call('HGET', task_key(run, number), 'spent')
  task_over(run, number, '')
  mail(run, tenant, 'Lost ' .. number .. ' ' .. dropped .. ' ' .. spent, '')
end
