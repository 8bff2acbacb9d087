-- Behind all helpers: carries out the operations that are asked for, one after the other.
-- One that fails keeps no other from being carried out.
local answers = { 'Ok' }
while at_arg < #ARGV do
  local operation, length = take(), take_number()
  local done, said
  last_arg = at_arg + length
  out = {}
  @OPERATIONS@
  if not done then
    said = { 'Failed', type(said) == 'table' and said.err or said }
  end
  answers[#answers + 1], at_arg, last_arg = said, last_arg, #ARGV
end
publish()
return answers
