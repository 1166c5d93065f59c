/**
 * Whether a value satisfies an extra spec's requirement, with the operators of Nova's extra specs
 * (`=` means at least, `==` numeric equality, `s==` and the other s-forms compare text, `<in>` substring, `<or>` one of several); no operator: equal text.
 */
export function extraSpecMatches(value: string, requirement: string): boolean {
  const words = requirement.trim().split(/\s+/);
  const operator = words[0] ?? '';
  if (operator === '<or>') return words.filter((_, index) => words[index - 1] === '<or>').includes(value);
  const operand = words.slice(1).join(' ');
  switch (operator) {
    case '<in>':
      return value.includes(operand);
    case '<all-in>':
      return words.slice(1).every((word) => word === '<all-in>' || value.includes(word));
    case '=':
    case '>=':
      return Number(value) >= Number(operand);
    case '<=':
      return Number(value) <= Number(operand);
    case '==':
      return Number(value) === Number(operand);
    case '!=':
      return Number(value) !== Number(operand);
    case 's==':
      return value === operand;
    case 's!=':
      return value !== operand;
    case 's<':
      return value < operand;
    case 's<=':
      return value <= operand;
    case 's>':
      return value > operand;
    case 's>=':
      return value >= operand;
    default:
      return value === requirement;
  }
}
