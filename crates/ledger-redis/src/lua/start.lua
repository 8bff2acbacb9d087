-- Marks an attempt as having begun what must not be done twice.
local run, number, token = take(), take(), take()
local key = task_key(run, number)
if standing(key, token) ~= 'held' then
  return refuse('LeaseLost')
end
if call('HSETNX', key, 'started', '1') == 0 then
  return refuse('AlreadyDone')
end
return answer({})
