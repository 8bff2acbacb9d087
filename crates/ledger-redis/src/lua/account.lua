-- Room for calls on one provider's account; the same decisions as in the embedded ledger
-- (crates/ledger/src/account), which says why. KEYS[1] is the account, a hash; KEYS[2] its
-- permits by the end of their lives. Its own frame: it knows no epoch, since what is lost
-- with a server is no more than a count, and its keys are in a slot of their own.
local ACCOUNT, ENDS = KEYS[1], KEYS[2]
local MINUTE_MS, BUCKET_PART, PAID_OFF_MS = 60000, 10, 240000
local PERMIT_WAIT_MS, PAUSE_MS_MAX, EXPIRED_MAX = 100, 600000, 256
-- An account that nobody calls is forgotten after this: later than any permit, pause or
-- debt of it ends.
local KEPT_MS = 7200000
local call = redis.call

-- Behind the epoch, which comes first in every call and means nothing here.
local at_arg = 1
local function take()
  at_arg = at_arg + 1
  return ARGV[at_arg]
end
-- A limit: 0 stands for none.
local function take_limit()
  local n = tonumber(take())
  return n > 0 and n or nil
end
local function int(n)
  return string.format('%.0f', n)
end
local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function take_terms()
  local terms = { requests = take_limit(), tokens = take_limit(), concurrency = take_limit() }
  local percent, calls_min, window_ms, open_ms =
    take_limit(), take_limit(), take_limit(), take_limit()
  if percent then
    terms.breaker =
      { percent = percent, calls_min = calls_min, half_ms = math.floor(window_ms / 2), open_ms = open_ms }
  end
  return terms
end

local function number(field)
  return tonumber(call('HGET', ACCOUNT, field) or 0)
end
local function set(...)
  call('HSET', ACCOUNT, ...)
end

-- ---- quotas a minute: a debt that leaks -------------------------------------------
local function leak(rate)
  return rate - math.floor(rate / BUCKET_PART)
end
local function bucket(rate)
  return (1 + math.floor(rate / BUCKET_PART)) * MINUTE_MS
end
local function debt(meter, rate)
  local passed = math.min(NOW - number(meter .. ':at'), PAID_OFF_MS)
  return math.max(number(meter .. ':debt') - math.max(passed, 0) * leak(rate), 0)
end
local function owe(meter, amount)
  set(meter .. ':debt', int(amount), meter .. ':at', int(NOW))
end
local function meter_wait(meter, rate, units)
  local room_from = math.max(bucket(rate) - math.min(units, rate) * MINUTE_MS, 0)
  return math.ceil(math.max(debt(meter, rate) - room_from, 0) / leak(rate))
end
local function meter_take(meter, rate, units)
  local taken = math.min(units, rate)
  owe(meter, debt(meter, rate) + taken * MINUTE_MS)
  return taken
end
local function meter_correct(meter, rate, taken, used)
  local most = bucket(rate) + rate * MINUTE_MS
  taken, used = math.min(taken, rate), math.min(used, rate)
  local sum = debt(meter, rate) + (used - taken) * MINUTE_MS
  owe(meter, math.min(math.max(sum, 0), most))
end

-- ---- the breaker ------------------------------------------------------------------
local function breaker_reset(open_until)
  call('HDEL', ACCOUNT, 'probe', 'half', 'calls', 'failed', 'last_calls', 'last_failed')
  set('open_until', int(open_until))
end
local function breaker_vanished(permit)
  if call('HGET', ACCOUNT, 'probe') == permit then
    call('HDEL', ACCOUNT, 'probe')
  end
end
local function breaker_ended(permit, health, terms)
  if health ~= 'Well' and health ~= 'Failed' then
    return breaker_vanished(permit)
  end
  local failed = health == 'Failed' and 1 or 0
  if number('open_until') ~= 0 then
    if call('HGET', ACCOUNT, 'probe') == permit then
      breaker_reset(failed == 1 and NOW + terms.open_ms or 0)
    end
    return
  end
  local half, before = math.floor(NOW / terms.half_ms), number('half')
  if half ~= before then
    local next_one = half == before + 1
    set('last_calls', int(next_one and number('calls') or 0),
      'last_failed', int(next_one and number('failed') or 0),
      'calls', 0, 'failed', 0, 'half', int(half))
  end
  local calls = call('HINCRBY', ACCOUNT, 'calls', 1) + number('last_calls')
  local failures = call('HINCRBY', ACCOUNT, 'failed', failed) + number('last_failed')
  if calls >= terms.calls_min and failures * 100 >= calls * terms.percent then
    breaker_reset(NOW + terms.open_ms)
  end
end

-- ---- permits ----------------------------------------------------------------------
-- A permit is the field 'permit:ID' = 'tokens agent'; 'agent:NAME' counts an agent's.
local function permit_removed(permit)
  local row = call('HGET', ACCOUNT, 'permit:' .. permit)
  if not row then
    return nil
  end
  local tokens, agent = row:match('^(%d+) (.*)$')
  call('HDEL', ACCOUNT, 'permit:' .. permit)
  call('ZREM', ENDS, permit)
  if call('HINCRBY', ACCOUNT, 'agent:' .. agent, -1) <= 0 then
    call('HDEL', ACCOUNT, 'agent:' .. agent)
  end
  return tonumber(tokens)
end
local function keep()
  call('PEXPIRE', ACCOUNT, KEPT_MS)
  call('PEXPIRE', ENDS, KEPT_MS)
end
