-- Asking a run to end is one flag that all below it look up to. They are woken to see it:
-- a run that only waits for a timer would learn of it late.
-- Most runs of a tree that are woken at once; the rest see it when they decide next.
local WAKE_MAX = 1024
local function wake_below(run, tenant)
  local tree, at = { run }, 1
  while tree[at] do
    if at > 1 and not has_ended(tree[at]) then
      decide_add(tree[at], tenant)
    end
    local room = WAKE_MAX - #tree
    if room > 0 then
      for _, child in ipairs(call('ZRANGE', children_key(tree[at]), 0, room - 1)) do
        tree[#tree + 1] = child
      end
    end
    at = at + 1
  end
end

local function ask_to_end(run, tenant, reason)
  if call('HSETNX', run_key(run), 'cancel', reason) == 0 then
    return 'AlreadyAsked'
  end
  mail(run, tenant, 'Cancel', reason)
  wake_below(run, tenant)
  return 'Asked'
end
