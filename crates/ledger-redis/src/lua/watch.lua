-- What a watcher has not seen: entries behind `from`, observations behind `cursor`
-- (with none: the tasks held at the moment), the end. Beside `reading.lua`.
local run, from, cursor, max = take(), take_number(), take(), take_number()
local row = fields(run_key(run), 'length', 'end')
if not row[1] then
  return refuse('NoSuchRun')
end
local observed_key = BASE .. 'observed:' .. run
local at = from + put_entries(run, from, tonumber(row[1]), max)
local behind = at < tonumber(row[1])

-- Observations only once the watcher has caught up with the journal, and none for one
-- that waits behind all of it for the end.
local observed = {}
if not behind and from < 2 ^ 63 then
  if cursor == '' then
    local last = call('XREVRANGE', observed_key, '+', '-', 'COUNT', 1)[1]
    cursor = last and last[1] or '0-0'
    local live = call('SMEMBERS', live_key(run))
    table.sort(live, function(a, b) return tonumber(a) < tonumber(b) end)
    for _, number in ipairs(live) do
      local task = fields(task_key(run, number), 'state', 'attempt', 'class', 'holder')
      if task[1] == 'leased' and #observed < max then
        observed[#observed + 1] = observation('Leased', number, task[2], task[3], task[4])
      end
    end
  else
    for _, entry in ipairs(call('XRANGE', observed_key, '(' .. cursor, '+', 'COUNT', max)) do
      cursor = entry[1]
      observed[#observed + 1] = entry[2][2]
    end
  end
end
put(int(#observed))
for _, text in ipairs(observed) do
  put(text)
end
put(cursor)
put(row[2] and not behind and '1' or '0')
put(row[2] or '')
-- Whether there is more than fitted into this answer.
put((behind or #observed == max) and '1' or '0')
return answer(out)
