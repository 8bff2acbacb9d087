-- The run as it is now, with journal entries and mails. Beside `reading.lua`.
local run, from, entries_max, mails_max = take(), take_number(), take_number(), take_number()
if not put_view(run, from, entries_max, mails_max) then
  return refuse('NoSuchRun')
end
return answer(out)
