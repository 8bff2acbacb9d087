-- Deletes finished root runs that the rules do not keep: the oldest by the time of their
-- end, then those of tenants that have too many. Beside `create.lua`.
-- Runs looked at for each rule, tenants with too many, and keys deleted: bound the
-- script's time. One run goes as a whole, however many keys it has.
local LOOKED_MAX, TENANTS_MAX, KEYS_MAX = 1024, 64, 4096
local finished_ms, runs_max, keys_ms, max = take(), take(), take_number(), take_number()
local runs_left, keys_left = max, KEYS_MAX

-- A run and all below it; nothing while a part of it is under way.
local function finished_tree(root)
  local tree, at = { root }, 1
  while tree[at] do
    if not has_ended(tree[at]) or call('EXISTS', live_key(tree[at])) == 1 then
      return
    end
    for _, child in ipairs(call('ZRANGE', children_key(tree[at]), 0, -1)) do
      tree[#tree + 1] = child
    end
    at = at + 1
  end
  return tree
end

local function delete_run(run)
  for number = 0, tonumber(call('HGET', run_key(run), 'last_task')) do
    call('UNLINK', task_key(run, int(number)))
    keys_left = keys_left - 1
  end
  call('UNLINK', run_key(run), BASE .. 'journal:' .. run, mail_key(run), live_key(run),
    children_key(run), BASE .. 'timers:' .. run, BASE .. 'observed:' .. run,
    signals_key(run))
end

local function delete_bodies(root, tenant)
  local uses, shared = BASE .. 'uses:' .. root, BASE .. 'shared:' .. tenant
  for _, hash in ipairs(call('SMEMBERS', uses)) do
    keys_left = keys_left - 1
    local others = tonumber(call('HGET', shared, hash) or 0)
    if others > 1 then
      call('HSET', shared, hash, int(others - 1))
    elseif others == 1 then
      call('HDEL', shared, hash)
    else
      local body = BASE .. 'body:' .. tenant .. ':' .. hash
      call('HINCRBY', META, 'bodies', -1)
      call('HINCRBY', META, 'body_bytes', -call('STRLEN', body))
      call('UNLINK', body)
    end
  end
  call('UNLINK', uses)
end

local function delete(root)
  local row = fields(run_key(root), 'tenant', 'key', 'ended_at')
  if not row[3] or (row[2] and tonumber(row[3]) + keys_ms > NOW) then
    return false
  end
  local tree = finished_tree(root)
  if not tree then
    return false
  end
  local tenant = row[1]
  delete_bodies(root, tenant)
  for _, run in ipairs(tree) do
    delete_run(run)
  end
  if row[2] then
    local known = BASE .. 'known:' .. tenant .. ':' .. row[2]
    if call('HGET', known, 'run') == root then
      call('UNLINK', known)
    end
  end
  call('ZREM', BASE .. 'runs:' .. tenant, root)
  call('ZREM', BASE .. 'over', root)
  if call('ZINCRBY', BASE .. 'kept', -1, tenant) == '0' then
    call('ZREM', BASE .. 'kept', tenant)
  end
  call('HINCRBY', META, 'finished', -1)
  runs_left = runs_left - 1
  return true
end

local function has_room()
  return runs_left > 0 and keys_left > 0
end

if finished_ms ~= '' then
  local until_at = int(NOW - tonumber(finished_ms))
  local over = call('ZRANGEBYSCORE', BASE .. 'over', '-inf', until_at, 'LIMIT', 0, LOOKED_MAX)
  for _, root in ipairs(over) do
    if not has_room() then
      break
    end
    delete(root)
  end
end
if runs_max ~= '' then
  local most = tonumber(runs_max)
  local full = call('ZREVRANGEBYSCORE', BASE .. 'kept', '+inf', '(' .. int(most), 'LIMIT', 0, TENANTS_MAX)
  for _, tenant in ipairs(full) do
    local above = tonumber(call('ZSCORE', BASE .. 'kept', tenant)) - most
    for _, root in ipairs(call('ZRANGE', BASE .. 'runs:' .. tenant, 0, LOOKED_MAX - 1)) do
      if above <= 0 or not has_room() then
        break
      end
      if delete(root) then
        above = above - 1
      end
    end
  end
end
return answer({ int(max - runs_left), max > 0 and not has_room() and '1' or '0' })
