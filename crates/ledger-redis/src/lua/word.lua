-- A word from outside, or the end of the wait for it: of both, a run gets one.
local CAME, IN_VAIN = 'came', 'in vain'
local function word_came(run, tenant, key, event)
  call('HSET', signals_key(run), key, CAME)
  mail(run, tenant, 'Signal 1 ' .. #key, key .. event)
end
local function word_in_vain(run, tenant, key)
  call('HSET', signals_key(run), key, IN_VAIN)
  mail(run, tenant, 'Signal 0 ' .. #key, key)
end
