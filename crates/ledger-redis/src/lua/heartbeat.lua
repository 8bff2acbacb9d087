-- Extends leases; says which of them to give up.
local ttl, heard = take_number(), {}
for i = 1, take_number() do
  local run, number, token = take(), take(), take()
  local key = task_key(run, number)
  if standing(key, token) ~= 'held' then
    heard[i] = 'Lost'
  else
    call('ZADD', LEASES, int(NOW + ttl), member(run, number))
    local row = fields(key, 'class', 'withdrawn', 'holder')
    call('ZADD', held_key(row[3]), int(NOW), member(run, number))
    -- A decision is not to be abandoned: it is what ends a run that is cancelled.
    local unwanted = row[2] or has_ended(run) or told_to_stop(run)
    heard[i] = row[1] ~= DECIDE and unwanted and 'Abandon' or 'Extended'
  end
end
keep_time()
return answer(heard)
