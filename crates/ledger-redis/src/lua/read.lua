-- The run as it is now, with journal entries and mails. Beside `reading.lua`.
local run, from, entries_max, mails_max = take(), take_number(), take_number(), take_number()
local row = fields(run_key(run), 'tenant', 'root', 'at', 'length', 'end', 'spent', 'label')
if not row[1] then
  return refuse('NoSuchRun')
end
local root = fields(run_key(row[2]), 'budget', 'spent', 'reserved', 'trace')
for _, text in ipairs({ row[1], row[2], row[3], int(NOW), row[4],
  told_to_stop(run) and '1' or '0', row[5] and '1' or '0', row[5] or '', row[6],
  root[1], root[2], root[3], row[7], root[4] and '1' or '0', root[4] or '' }) do
  put(text)
end
put_entries(run, from, tonumber(row[4]), entries_max)
local mails = call('LRANGE', mail_key(run), 0, mails_max - 1)
put(int(#mails))
for _, text in ipairs(mails) do
  put(text)
end
return answer(out)
