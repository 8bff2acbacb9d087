-- A tenant's root runs, newest first. Beside `reading.lua`.
local tenant, limit, before = take(), take_number(), take()
local key, below = BASE .. 'runs:' .. tenant, '+inf'
if before ~= '' then
  local score = call('ZSCORE', key, before)
  if not score then
    return refuse('NoSuchRun')
  end
  below = '(' .. score
end
for _, run in ipairs(call('ZREVRANGEBYSCORE', key, below, '-inf', 'LIMIT', 0, limit)) do
  local row = fields(run_key(run), 'at', 'ended_at', 'label', 'end', 'spent')
  for _, text in ipairs({ run, row[1], row[2] or '', row[3], row[4] and '1' or '0', row[4] or '', row[5] }) do
    put(text)
  end
end
return answer(out)
