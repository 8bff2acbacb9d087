-- The ledger in numbers: counts that the other scripts keep, and the age of what waits.
-- Most queues looked at: bounds the script's time. Smaller ones are not in the sums.
local LOOKED_MAX = 20000
local shown_max = take_number()
local queues, all = {}, {}
local function gather(what)
  local counts = call('ZREVRANGE', BASE .. what, 0, LOOKED_MAX - 1, 'WITHSCORES')
  for i = 1, #counts, 2 do
    local queue = queues[counts[i]]
    if not queue then
      local tenant, class = counts[i]:match('^(%S+) (.*)$')
      queue = { tenant = tenant, class = class, queued = 0, leased = 0 }
      queues[counts[i]] = queue
      all[#all + 1] = queue
    end
    queue[what] = tonumber(counts[i + 1])
  end
end
gather('queued')
gather('leased')
table.sort(all, function(a, b)
  local left, right = a.queued + a.leased, b.queued + b.leased
  if left ~= right then
    return left > right
  end
  if a.class ~= b.class then
    return a.class < b.class
  end
  return a.tenant < b.tenant
end)

-- Within a priority, the first in the queue is the oldest.
local function oldest_ms(queue)
  local oldest = NOW
  for priority = 0, 9 do
    local first = call('ZRANGEBYSCORE', queue_key(queue.class, queue.tenant),
      int(priority * 2 ^ 40), '(' .. int((priority + 1) * 2 ^ 40), 'LIMIT', 0, 1)[1]
    if first then
      local run, number = of_member(first)
      oldest = math.min(oldest, tonumber(call('HGET', task_key(run, number), 'at') or NOW))
    end
  end
  return NOW - oldest
end

local row = fields(META, 'epoch', 'unfinished', 'finished', 'bodies', 'body_bytes')
local out = { int(NOW), row[1], row[2] or '0', row[3] or '0', row[4] or '0', row[5] or '0',
  int(call('ZCARD', TIMERS)) }
local shown = math.min(#all, shown_max)
local others, queued, leased = #all - shown, 0, 0
for i = shown + 1, #all do
  queued, leased = queued + all[i].queued, leased + all[i].leased
end
for _, number in ipairs({ others, queued, leased, shown }) do
  out[#out + 1] = int(number)
end
for i = 1, shown do
  local queue = all[i]
  for _, text in ipairs({ queue.class, queue.tenant, int(queue.queued), int(queue.leased),
    int(oldest_ms(queue)) }) do
    out[#out + 1] = text
  end
end
return answer(out)
