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
      seen = seen + tonumber(call('HGET', tenant_key(tenant), 'weight') or WEIGHT)
    end
    if #tenants > 0 then
      sum = sum + seen / #tenants * call('ZCARD', ring_key(classes[i]))
    end
  end
  return int(sum)
end
local weight = active_weight()

local cost = 0
local function hand_out(run, number)
  local key = task_key(run, number)
  local task = fields(key, 'class', 'token', 'payload', 'reserve', 'unheld', 'cost')
  cost = cost + math.max(tonumber(task[6]), 1)
  local row = fields(run_key(run), 'tenant', 'root')
  local trace, stops = call('HGET', run_key(row[2]), 'trace'), told_to_stop(run)
  for _, text in ipairs({ run, number, task[1], task[2], row[1], row[2], task[3],
    trace and '1' or '0', trace or '', stops and '1' or '0',
    task[5] and '1' or '0', task[5] or task[4] }) do
    put(text)
  end
  -- Whoever decides needs the run as it is, but for the journal, which it may know.
  if task[1] == DECIDE then
    -- Noted for the commit: a decision that was not told to stop is followed by one that is.
    if stops then
      call('HSET', run_key(run), 'told', '1')
    else
      call('HDEL', run_key(run), 'told')
    end
    put_view(run, math.huge, 0, mails_max)
  end
end

local function answer_with(left)
  for _, part in ipairs({ int(cost), weight, left }) do
    table.insert(out, 1, part)
  end
  return answer(out)
end

-- The same request again: the tasks it got, as far as they are still held by it.
local earlier = call('LRANGE', request_key, 0, -1)
for i = 1, #earlier, 3 do
  if standing(task_key(earlier[i], earlier[i + 1]), earlier[i + 2]) == 'held' then
    hand_out(earlier[i], earlier[i + 1])
  end
end
if #out > 0 then
  return answer_with('Empty')
end
call('DEL', request_key)

-- Handed out when all is done, so that each comes with what the others did to its run.
local taken = {}
local function lease(run, number, tenant, class)
  local key = task_key(run, number)
  local attempt = call('HINCRBY', key, 'attempt', 1)
  local nonce = call('HINCRBY', META, 'nonce', 1)
  local token = EPOCH .. ' ' .. attempt .. ' ' .. int(nonce)
  local row = fields(key, 'reserve', 'unheld')
  local beyond = set_aside(call('HGET', run_key(run), 'root'), row[1])
  if beyond then
    call('HSET', key, 'unheld', beyond)
  elseif row[2] then
    call('HDEL', key, 'unheld')
  end
  call('HDEL', key, 'reserved_call', 'settled_call')
  call('HSET', key, 'state', 'leased', 'token', token, 'holder', holder, 'reserved',
    beyond and NOTHING or row[1])
  call('ZADD', LEASES, int(NOW + ttl), member(run, number))
  call('ZADD', held_key(holder), int(NOW), member(run, number))
  count('leased', tenant, class, 1)
  call('RPUSH', request_key, run, number, token)
  if class ~= DECIDE then
    call('HINCRBY', tenant_key(tenant), 'leased', 1)
  end
  observe(run, 'Leased', number, attempt, class, holder)
  taken[#taken + 1] = { run, number }
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

local function charge(class, tenant, pass, run, number)
  local after = pass + stride(tenant, tonumber(call('HGET', task_key(run, number), 'cost')))
  local now, _, most = virtual_times(class)
  call('HSET', META, 'now:' .. class, math.max(now, pass), 'most:' .. class, math.max(most, after))
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
  if class ~= DECIDE and (has_ended(run) or told_to_stop(run)) then
    task_lost(run, number, tenant, '1')
    dropped = dropped + 1
  else
    pass = charge(class, tenant, pass, run, number)
    lease(run, number, tenant, class)
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
  hand_out(task[1], task[2])
end
if found > 0 then
  call('PEXPIRE', request_key, int(math.max(ttl, REQUEST_MS)))
end
return answer_with(more and 'More' or 'Empty')
