-- Takes tasks from the queues, fairly among tenants. Beside `reading.lua`.
-- Most tasks dropped in one call: bounds the script's time.
local DROPPED_MAX = 256
-- How long a repeated request is known for at least, in milliseconds.
local REQUEST_MS = 60000
local request_key, holder, max, ttl = BASE .. 'request:' .. take(), take(), take_number(), take_number()
local mails_max, sample_max = take_number(), take_number()
local classes = {}
for i = 1, take_number() do
  classes[i] = take()
end

-- What the tenants weigh together that wait in these classes: about, by some of them drawn
-- by lot, because the first in turn are the heaviest.
local function active_weight()
  local sum = 1
  for i = 1, sample_max > 0 and #classes or 0 do
    local tenants = call('ZRANDMEMBER', ring_key(classes[i]), sample_max)
    local seen = 0
    for _, tenant in ipairs(tenants) do
      seen = seen + weight_of(tenant)
    end
    if #tenants > 0 then
      sum = sum + seen / #tenants * call('ZCARD', ring_key(classes[i]))
    end
  end
  return int(sum)
end
local weight = active_weight()

-- Noted for the commit: a decision that was not told to stop is followed by one that is.
local function note_told(run, stops, was_told)
  if stops then
    call('HSET', run_key(run), 'told', '1')
  elseif was_told then
    call('HDEL', run_key(run), 'told')
  end
end
-- Puts a task with what was true of it when it was leased.
local cost_given = 0
local function hand_out(task)
  cost_given = cost_given + math.max(task.cost, 1)
  local run, stops = task.run, task.stops
  local trace = call('HGET', run_key(task.root), 'trace')
  for _, text in ipairs({ run, task.number, task.class, task.token, task.tenant, task.root,
    task.payload, trace and '1' or '0', trace or '', stops and '1' or '0',
    task.beyond and '1' or '0', task.beyond or task.reserve }) do
    put(text)
  end
  -- Whoever decides needs the run as it is, but for the journal, which it may know.
  if task.class == DECIDE then
    put_view(run, math.huge, 0, mails_max, stops)
  end
end

local function answer_with(left)
  for _, part in ipairs({ int(cost_given), weight, left }) do
    table.insert(out, 1, part)
  end
  return answer(out)
end

-- The same request again: the tasks it got, as far as they are still held by it.
local earlier = call('LRANGE', request_key, 0, -1)
for i = 1, #earlier, 3 do
  local run, number, token = earlier[i], earlier[i + 1], earlier[i + 2]
  if standing(task_key(run, number), token) == 'held' then
    local row = fields(run_key(run), 'tenant', 'root')
    local task = fields(task_key(run, number), 'class', 'payload', 'reserve', 'unheld', 'cost')
    local stops = told_to_stop(run)
    if task[1] == DECIDE then
      note_told(run, stops, true)
    end
    hand_out({ run = run, number = number, token = token, tenant = row[1], root = row[2],
      class = task[1], payload = task[2], reserve = task[3], beyond = task[4], cost = tonumber(task[5]),
      stops = stops })
  end
end
if #out > 0 then
  return answer_with('Empty')
end
if #earlier > 0 then
  call('DEL', request_key)
end

-- Handed out when all is done, so that each comes with what the others did to its run.
local taken, request = {}, {}
local function lease(task, attempt)
  local run, number, class = task.run, task.number, task.class
  local key = task_key(run, number)
  task.token = EPOCH .. ' ' .. attempt .. ' ' .. int(call('HINCRBY', META, 'nonce', 1))
  task.beyond = set_aside(task.root, task.reserve)
  if attempt > 1 then
    call('HDEL', key, 'unheld', 'reserved_call', 'settled_call')
  end
  if task.beyond then
    call('HSET', key, 'unheld', task.beyond)
  end
  call('HSET', key, 'state', 'leased', 'attempt', attempt, 'token', task.token, 'holder', holder,
    'reserved', task.beyond and NOTHING or task.reserve)
  call('ZADD', LEASES, int(NOW + ttl), member(run, number))
  call('ZADD', held_key(holder), int(NOW), member(run, number))
  count('leased', task.tenant, class, 1)
  if class ~= DECIDE then
    call('HINCRBY', tenant_key(task.tenant), 'leased', 1)
  else
    note_told(run, task.stops, task.told)
  end
  observe(run, 'Leased', number, attempt, class, holder)
  taken[#taken + 1] = task
  for _, text in ipairs({ run, number, task.token }) do
    request[#request + 1] = text
  end
end

-- The tenant whose turn it is in a class, past those at their cap.
local function next_tenant(class)
  local ring = ring_key(class)
  while true do
    local head = call('ZRANGE', ring, 0, 0, 'WITHSCORES')
    if not head[1] then
      return
    end
    if class == DECIDE or not at_cap(head[1]) then
      return head[1], tonumber(head[2])
    end
    park(class, head[1], head[2])
  end
end

local weights = {}
local function charge(class, tenant, pass, cost)
  weights[tenant] = weights[tenant] or weight_of(tenant)
  local after, known = pass + stride(weights[tenant], cost), virtual_times(class)
  known.now, known.most = math.max(known.now, pass), math.max(known.most, after)
  moved[class] = true
  return after
end

local found, dropped = 0, 0
-- Whether there was a task, to be handed out or dropped.
local function take_one(class)
  local tenant, pass = next_tenant(class)
  if not tenant then
    return false
  end
  local queue = queue_key(class, tenant)
  local run, number = of_member(call('ZPOPMIN', queue)[1])
  count('queued', tenant, class, -1)
  local row = fields(run_key(run), 'root', 'end', 'cancel', 'above', 'told')
  local stops = row[3] and true or stopped_above(row[4])
  if class ~= DECIDE and (row[2] or stops) then
    task_lost(run, number, tenant, '1')
    dropped = dropped + 1
  else
    local task = fields(task_key(run, number), 'attempt', 'cost', 'reserve', 'payload')
    local cost = tonumber(task[2])
    pass = charge(class, tenant, pass, cost)
    lease({ run = run, number = number, class = class, tenant = tenant, root = row[1],
      cost = cost, reserve = task[3], payload = task[4], stops = stops, told = row[5] },
      tonumber(task[1] or 0) + 1)
    found = found + 1
  end
  if call('EXISTS', queue) == 0 then
    leave_ring(class, tenant, pass)
  else
    call('ZADD', ring_key(class), pass, tenant)
  end
  return true
end

-- One of each class in turn, so that a busy class does not starve the others.
local more = true
while more and found < max and dropped < DROPPED_MAX do
  more = false
  for _, class in ipairs(classes) do
    if found < max and dropped < DROPPED_MAX and take_one(class) then
      more = true
    end
  end
end
for _, task in ipairs(taken) do
  hand_out(task)
end
if found > 0 then
  -- As many as one call may lease: they fit on the stack.
  call('RPUSH', request_key, unpack(request))
  call('PEXPIRE', request_key, int(math.max(ttl, REQUEST_MS)))
end
return answer_with(more and 'More' or 'Empty')
