-- Takes leases back whose holder is said to be dead, where it was silent for so long.
-- Beside `expire.lua`.
local holder, silent, max = take(), take_number(), take_number()
local heard = call('ZRANGEBYSCORE', held_key(holder), '-inf', int(NOW - silent), 'LIMIT', 0, max + 1)
local more = #heard > max
heard[max + 1] = nil
table.sort(heard)
local leases = 0
for i = 1, #heard do
  local run, number = of_member(heard[i])
  local row = fields(task_key(run, number), 'state', 'holder')
  if row[1] == 'leased' and row[2] == holder then
    expire(run, number)
    leases = leases + 1
  else
    -- Written by a version that does not keep this index.
    call('ZREM', held_key(holder), heard[i])
  end
end
return answer({ int(leases), more and '1' or '0' })
