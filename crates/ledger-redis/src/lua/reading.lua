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
-- Puts a run as it is now; answers whether there is one. Whether it is told to stop may be
-- known already.
local function put_view(run, from, entries_max, mails_max, stops)
  local row = fields(run_key(run), 'tenant', 'root', 'at', 'length', 'end', 'spent', 'label')
  if not row[1] then
    return false
  end
  local root = fields(run_key(row[2]), 'budget', 'spent', 'reserved', 'trace')
  if stops == nil then
    stops = told_to_stop(run)
  end
  for _, text in ipairs({ row[1], row[2], row[3], int(NOW), row[4], stops and '1' or '0', row[5] and '1' or '0', row[5] or '', row[6],
    root[1], root[2], root[3], row[7], root[4] and '1' or '0', root[4] or '' }) do
    put(text)
  end
  put_entries(run, from, tonumber(row[4]), entries_max)
  local mails = call('LRANGE', mail_key(run), 0, mails_max - 1)
  put(int(#mails))
  for _, text in ipairs(mails) do
    put(text)
  end
  return true
end
