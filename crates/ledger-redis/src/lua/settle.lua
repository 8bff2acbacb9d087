-- Turns part of this attempt's reservation into spend.
local run, number, token, at, part, spent = take(), take(), take(), take(), take(), take()
local key = task_key(run, number)
if standing(key, token) ~= 'held' then
  return refuse('LeaseLost')
end
if is_repeated(key, 'settled_call', at) then
  return answer({})
end
local row = fields(key, 'reserved', 'spent')
part = spend_common(row[1], part)
pay(run, call('HGET', run_key(run), 'root'), part, spent)
call('HSET', key, 'reserved', spend_sub(row[1], part), 'spent', spend_add(row[2], spent),
  'settled_call', at)
return answer({})
