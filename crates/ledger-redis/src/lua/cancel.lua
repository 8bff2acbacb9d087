-- Asks for a run, with all below it, to be ended. Beside `ask_to_end.lua`.
local run, reason = take(), take()
local row = fields(run_key(run), 'tenant', 'end')
if not row[1] then
  return refuse('NoSuchRun')
end
if row[2] then
  return answer({ 'AlreadyEnded' })
end
return answer({ ask_to_end(run, row[1], reason) })
