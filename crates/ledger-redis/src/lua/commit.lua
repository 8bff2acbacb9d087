-- The Conductor's one write. Beside `create.lua` and `ask_to_end.lua`.
-- Most queued tasks, and timers, that go at once with their run; the rest go when their
-- turn comes: bounds the script's time.
local VANISH_MAX = 1024
local run, number, token, journal_len, mail_seen = take(), take(), take(), take_number(), take_number()
local stands = standing(task_key(run, number), token)
if stands ~= 'held' then
  return refuse(stands == 'done' and 'AlreadyDone' or 'LeaseLost')
end
local decide = fields(task_key(run, number), 'class', 'reserved', 'holder')
if decide[1] ~= DECIDE then
  return refuse('Invalid', 'task ' .. number .. ' is no decision: complete it')
end
local row = fields(run_key(run), 'tenant', 'root', 'above', 'length', 'mails', 'seen', 'last_task',
  'label')
local tenant, root, above, length = row[1], row[2], row[3], tonumber(row[4])
local mails, seen = tonumber(row[5]), tonumber(row[6])
if journal_len ~= length then
  return refuse('JournalMoved', int(length))
end
if mail_seen > mails then
  return refuse('Invalid', 'mail ' .. int(mail_seen) .. ' is seen: the last one is ' .. int(mails))
end
mail_seen = math.max(mail_seen, seen)

local fresh = take_run()
for _, task in ipairs(fresh.tasks) do
  if task.number <= tonumber(row[7]) then
    return refuse('Invalid', 'task ' .. int(task.number) .. ' is to be new: expected a number above '
      .. row[7])
  end
end
local children = {}
for i = 1, take_number() do
  local child = { number = take(), run = take(), parts = take_run() }
  if call('EXISTS', run_key(child.run)) == 1 then
    return refuse('Invalid', 'run id ' .. child.run .. ' is in use: expected a new child')
  end
  children[i] = child
end
local withdraw, withdraw_children = take_texts(), take_texts()
local ending, bodies = take_maybe(), take_bodies()
for _, task in ipairs(withdraw) do
  if call('EXISTS', task_key(run, task)) == 0 then
    return refuse('Invalid', 'there is no task ' .. task .. ' to withdraw')
  end
end
for _, child in ipairs(withdraw_children) do
  if not call('ZSCORE', children_key(run), child) then
    return refuse('Invalid', 'there is no child ' .. child .. ' to withdraw')
  end
end
-- From here on everything is written.

local function create_child(child)
  call('HSET', run_key(child.run), 'tenant', tenant, 'root', root, 'above',
    above == '' and run or run .. ' ' .. above, 'parent', run, 'child', child.number,
    'label', row[8])
  call('ZADD', children_key(run), child.number, child.run)
  create(child.run, tenant, child.parts)
end

local function withdraw_task(task)
  local key = task_key(run, task)
  local of = fields(key, 'state', 'class')
  if of[1] == 'queued' then
    unqueue(run, task, tenant, of[2])
    task_lost(run, task, tenant, '1')
  elseif of[1] == 'leased' then
    call('HSET', key, 'withdrawn', '1')
  end
end

local function vanish()
  local live, timers = live_key(run), BASE .. 'timers:' .. run
  if call('SCARD', live) <= VANISH_MAX then
    for _, task in ipairs(call('SMEMBERS', live)) do
      local of = fields(task_key(run, task), 'state', 'class')
      if of[1] == 'queued' then
        unqueue(run, task, tenant, of[2])
        task_over(run, task, '')
      end
    end
  end
  if call('SCARD', timers) <= VANISH_MAX then
    for _, name in ipairs(call('SMEMBERS', timers)) do
      call('ZREM', TIMERS, run .. ' ' .. name)
    end
  end
  call('UNLINK', timers, mail_key(run))
end

local function end_run()
  call('HSET', run_key(run), 'end', ending, 'ended_at', int(NOW))
  call('ZREM', BASE .. 'unended', run)
  vanish()
  stir(run)
  ended[run] = true
  if run == root then
    call('HINCRBY', tenant_key(tenant), 'runs', -1)
    call('HINCRBY', META, 'unfinished', -1)
    call('HINCRBY', META, 'finished', 1)
    call('ZADD', BASE .. 'over', int(NOW), run)
    call('ZINCRBY', BASE .. 'kept', 1, tenant)
  else
    local up = fields(run_key(run), 'parent', 'child', 'spent')
    mail(up[1], tenant, 'ChildEnded ' .. up[2] .. ' ' .. up[3], ending)
  end
  wake_below(run, tenant)
end

store_bodies(tenant, root, bodies)
append(run, length, fresh.events)
call('HSET', run_key(run), 'length', int(length + #fresh.events), 'seen', int(mail_seen),
  'last_task', last_of(fresh.tasks, tonumber(row[7])))
if mail_seen > seen then
  call('LTRIM', mail_key(run), int(mail_seen - seen), -1)
end
for _, task in ipairs(withdraw) do
  withdraw_task(task)
end
add_tasks(run, tenant, fresh.tasks)
set_timers(run, fresh.timers)
for _, child in ipairs(withdraw_children) do
  if not has_ended(child) then
    ask_to_end(child, tenant, 'withdrawn by its parent')
  end
end
for _, child in ipairs(children) do
  create_child(child)
end
-- What the decision itself may have spent, and did not settle, counts in full.
pay(run, root, decide[2], decide[2])
lease_end(run, number, tenant, DECIDE, decide[3])
task_over(run, number, token)
if ending then
  end_run()
elseif call('LLEN', mail_key(run)) > 0
  or (told_to_stop(run) and call('HEXISTS', run_key(run), 'told') == 0) then
  decide_add(run, tenant)
end
return answer({})
