-- Records a root run with its first tasks. Beside `create.lua`.
local tenant, run, key, digest = take(), take(), take_maybe(), take()
local known_at = key and BASE .. 'known:' .. tenant .. ':' .. key
if known_at then
  local known = call('HMGET', known_at, 'run', 'digest')
  if known[1] then
    if known[2] ~= digest then
      return refuse('KeyReused', known[1])
    end
    return answer({ 'Known', known[1] })
  end
end
local budget, label, trace = take(), take(), take_maybe()
local fresh = take_run()
local bodies = take_bodies()
for _, hash in ipairs(take_texts()) do
  if call('EXISTS', body_key(tenant, hash)) == 0 then
    return refuse('NoSuchBody')
  end
  bodies[#bodies + 1] = { hash = hash }
end

if call('EXISTS', run_key(run)) == 1 then
  return refuse('Invalid', 'run id ' .. run .. ' is in use: expected one never used before')
end
local row = fields(tenant_key(tenant), 'runs', 'runs_max')
local runs, runs_max = tonumber(row[1] or 0), tonumber(row[2] or RUNS_MAX)
if runs >= runs_max then
  return refuse('QueueFull', int(runs))
end

store_bodies(tenant, run, bodies)
call('HSET', run_key(run), 'tenant', tenant, 'root', run, 'above', '', 'budget', budget,
  'reserved', NOTHING, 'label', label)
if trace then
  call('HSET', run_key(run), 'trace', trace)
end
if known_at then
  call('HSET', known_at, 'run', run, 'digest', digest)
  call('HSET', run_key(run), 'key', key)
end
call('HINCRBY', tenant_key(tenant), 'runs', 1)
call('HINCRBY', META, 'unfinished', 1)
call('ZADD', BASE .. 'runs:' .. tenant, call('HINCRBY', META, 'runs', 1), run)
create(run, tenant, fresh)
return answer({ 'New', run })
