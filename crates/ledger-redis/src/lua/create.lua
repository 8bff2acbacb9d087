-- Reading what a new run is made of, and making it: for roots and children alike.
-- The caller of the scripts has checked all sizes, counts and ranges.
local function take_tasks()
  local tasks = {}
  for i = 1, take_number() do
    tasks[i] = { number = take_number(), class = take(), priority = take_number(),
      cost = take_number(), reserve = take(), payload = take() }
  end
  return tasks
end
local function take_timers()
  local timers = {}
  for i = 1, take_number() do
    timers[i] = { name = take(), after = take_number() }
  end
  return timers
end
local function take_texts()
  local texts = {}
  for i = 1, take_number() do
    texts[i] = take()
  end
  return texts
end
local function take_bodies()
  local bodies = {}
  for i = 1, take_number() do
    bodies[i] = { hash = take(), bytes = take() }
  end
  return bodies
end
local function take_run()
  return { events = take_texts(), tasks = take_tasks(), timers = take_timers() }
end

-- A root run's tree counts once for each body that was written for it. The first one only
-- leaves a note that it has the body; how many more there are is counted.
local function body_key(tenant, hash)
  return BASE .. 'body:' .. tenant .. ':' .. hash
end
local function store_bodies(tenant, root, bodies)
  for _, body in ipairs(bodies) do
    if call('SADD', BASE .. 'uses:' .. root, body.hash) == 1 then
      -- Without its bytes it is known to be there.
      if body.bytes and call('SETNX', body_key(tenant, body.hash), body.bytes) == 1 then
        call('HINCRBY', META, 'bodies', 1)
        call('HINCRBY', META, 'body_bytes', #body.bytes)
      else
        call('HINCRBY', BASE .. 'shared:' .. tenant, body.hash, 1)
      end
    end
  end
end

-- Explicit ids make the journal gap-free: Redis refuses one that is taken.
local function append(run, length, events)
  local key = BASE .. 'journal:' .. run
  for i, event in ipairs(events) do
    call('XADD', key, int(length + i) .. '-0', 'at', int(NOW), 'event', event)
  end
  if #events > 0 then
    stir(run)
  end
end

local function set_timers(run, timers)
  for _, timer in ipairs(timers) do
    local awaited = timer.name:match('^await (.*)$')
    if not awaited or call('HEXISTS', signals_key(run), awaited) == 0 then
      call('ZADD', TIMERS, int(NOW + timer.after), run .. ' ' .. timer.name)
      call('SADD', BASE .. 'timers:' .. run, timer.name)
    end
  end
end

local function add_tasks(run, tenant, tasks)
  for _, task in ipairs(tasks) do
    task_add(run, tenant, task)
  end
end
-- The highest number of these tasks and those before.
local function last_of(tasks, last)
  for _, task in ipairs(tasks) do
    last = math.max(last, task.number)
  end
  return int(last)
end

-- Fills the row of a run that has its tenant, root, ancestors and label.
local function create(run, tenant, fresh)
  call('HSET', run_key(run), 'at', int(NOW), 'length', #fresh.events, 'mails', 0, 'seen', 0,
    'last_task', last_of(fresh.tasks, 0), 'spent', NOTHING)
  call('ZADD', BASE .. 'unended', 0, run)
  append(run, 0, fresh.events)
  add_tasks(run, tenant, fresh.tasks)
  if #fresh.tasks == 0 then
    decide_add(run, tenant)
  end
  set_timers(run, fresh.timers)
end
