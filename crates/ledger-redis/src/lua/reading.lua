-- Writing an answer part by part, for scripts that only read.
local out = {}
local function put(text)
  out[#out + 1] = text
end
-- Puts up to `max` journal entries behind `from`; answers how many there were.
local function put_entries(run, from, length, max)
  local entries = {}
  if from < length then
    local first = int(from + 1) .. '-0'
    entries = call('XRANGE', BASE .. 'journal:' .. run, first, '+', 'COUNT', max)
  end
  put(int(#entries))
  for _, entry in ipairs(entries) do
    put(entry[1]:match('^%d+'))
    put(entry[2][2])
    put(entry[2][4])
  end
  return #entries
end
