-- Behind all helpers: carries out the operations that are asked for, one after the other.
-- One that fails keeps no other from being carried out.
local answers, arguments = { 'Ok' }, #ARGV
while at_arg < arguments do
  local operation, length = take(), take_number()
  local behind, done, said = at_arg + length, nil, nil
  out = {}
  @OPERATIONS@
  if not done then
    said = { 'Failed', type(said) == 'table' and said.err or said }
  end
  answers[#answers + 1], at_arg = said, behind
end
publish()
return answers
