-- Sets a tenant's terms; a higher cap lets waiting tasks go on at once.
local tenant = take()
call('HSET', tenant_key(tenant), 'weight', take(), 'leased_max', take(), 'runs_max', take())
call('SADD', BASE .. 'tenants', tenant)
unpark(tenant)
return answer({})
