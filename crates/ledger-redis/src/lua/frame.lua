-- Put before every script: the call's frame. A script is told the ledger's base of keys
-- (in its text, so that its digest belongs to this ledger alone), reads its arguments one
-- after the other, and refuses to run under another epoch than the caller knows of.
local BASE = '@BASE@'
local META = BASE .. 'meta'
local call = redis.call

-- An operation's last arguments are not sent where they are 0.
local at_arg, last_arg = 0, #ARGV
local function take()
  at_arg = at_arg + 1
  return at_arg > last_arg and '0' or ARGV[at_arg]
end
local function take_number()
  return tonumber(take())
end
-- What may be there.
local function take_maybe()
  return take() == '1' and take()
end

-- Whole numbers as text; Lua's own conversion turns to 1e+15 from there on.
local function int(n)
  return string.format('%.0f', n)
end

local head = call('HMGET', META, 'epoch', 'clock', 'ahead')
local EPOCH = head[1]
if take() ~= EPOCH then
  return { 'Fenced' }
end

-- The ledger's time goes on when the server's clock is set back: it is ahead of that clock
-- from then on, and comes back to it by going slower, by one part in so many.
local SLOWER, KEPT_EACH_MS = 64, 100
local clock = call('TIME')
local SERVER = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept, ahead = tonumber(head[2] or 0), tonumber(head[3] or 0)
local NOW = math.max(SERVER + ahead, kept)
-- Notes the time, in scripts that change something: exact to what passes between two notes.
local function keep_time()
  if NOW - kept >= KEPT_EACH_MS or SERVER + ahead < kept then
    local back = kept > 0 and math.floor((NOW - kept) / SLOWER) or 0
    local behind = math.max(NOW - SERVER - back, 0)
    call('HSET', META, 'clock', int(NOW), 'ahead', int(behind))
  end
end

local function refuse(...)
  return { ... }
end

-- ---- whole numbers of 64 bits -----------------------------------------------------
-- A double holds 53 bits, an amount of picodollars has up to 64: numbers that may grow
-- so large are kept as decimal text and reckoned with as {high, low}, high * 10^10 + low.
local LOW = 1e10
local U64_MAX = { 1844674407, 3709551615 }
local U32_MAX = { 0, 4294967295 }

local function wide(text)
  if #text <= 10 then
    return { 0, tonumber(text) }
  end
  return { tonumber(text:sub(1, -11)), tonumber(text:sub(-10)) }
end
local function wide_text(n)
  if n[1] == 0 then
    return int(n[2])
  end
  return string.format('%.0f%010.0f', n[1], n[2])
end
local function wide_above(a, b)
  if a[1] ~= b[1] then
    return a[1] > b[1]
  end
  return a[2] > b[2]
end
local function wide_add(a, b, max)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= LOW then
    high, low = high + 1, low - LOW
  end
  local sum = { high, low }
  if wide_above(sum, max) then
    return max
  end
  return sum
end
local function wide_sub(a, b)
  if not wide_above(a, b) then
    return { 0, 0 }
  end
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then
    high, low = high - 1, low + LOW
  end
  return { high, low }
end

-- ---- spends: 'picodollars tokens_in tokens_out calls' -----------------------------
local NOTHING = '0 0 0 0'
local SPEND_MAX = { U64_MAX, U64_MAX, U64_MAX, U32_MAX }

local function spend_parts(text)
  local parts = {}
  for part in text:gmatch('%d+') do
    parts[#parts + 1] = wide(part)
  end
  return parts
end
local function spend_text(parts)
  local texts = {}
  for i = 1, 4 do
    texts[i] = wide_text(parts[i])
  end
  return table.concat(texts, ' ')
end
local function spend_add(a, b)
  if b == NOTHING then
    return a
  end
  local sum, left, right = {}, spend_parts(a), spend_parts(b)
  for i = 1, 4 do
    sum[i] = wide_add(left[i], right[i], SPEND_MAX[i])
  end
  return spend_text(sum)
end
local function spend_sub(a, b)
  if b == NOTHING then
    return a
  end
  local rest, left, right = {}, spend_parts(a), spend_parts(b)
  for i = 1, 4 do
    rest[i] = wide_sub(left[i], right[i])
  end
  return spend_text(rest)
end
-- What both have: a - (a - b), where a difference stops at nothing.
local function spend_common(a, b)
  return spend_sub(a, spend_sub(a, b))
end
-- The first resource of 'picodollars tokens calls ...' that a spend goes beyond.
local function spend_beyond(budget, spend)
  local most, parts = spend_parts(budget), spend_parts(spend)
  if wide_above(parts[1], most[1]) then
    return 'usd'
  end
  if wide_above(wide_add(parts[2], parts[3], U64_MAX), most[2]) then
    return 'tokens'
  end
  if wide_above(parts[4], most[3]) then
    return 'calls'
  end
end
