-- Classes in which tasks wait, and tenants with the terms that were set.
local waiting = {}
for _, class in ipairs(call('SMEMBERS', BASE .. 'classes')) do
  if call('EXISTS', ring_key(class)) == 1 then
    waiting[#waiting + 1] = class
  end
end
local tenants = call('SMEMBERS', BASE .. 'tenants')
local out = { int(#waiting) }
for _, class in ipairs(waiting) do
  out[#out + 1] = class
end
out[#out + 1] = int(#tenants)
for _, tenant in ipairs(tenants) do
  local row = fields(tenant_key(tenant), 'weight', 'leased_max', 'runs_max')
  for _, text in ipairs({ tenant, row[1], row[2], row[3] }) do
    out[#out + 1] = text
  end
end
return answer(out)
