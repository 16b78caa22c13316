import { ascii } from 'proxy-wasm-assemblyscript-sdk/slice';
import { parseNumber } from '../../filters/overload-shedding/number';

function number(text: string): f64 {
  return parseNumber(ascii(text), 1e6);
}

describe('a number in a header', () => {
  it('is taken as written', () => {
    expect<f64>(number('0')).toBe(0);
    expect<f64>(number('12')).toBe(12);
    expect<f64>(number('12.5')).toBe(12.5);
    expect<f64>(number('.5')).toBe(0.5);
    expect<f64>(number('5.')).toBe(5);
    expect<f64>(number('1e3')).toBe(1000);
    expect<f64>(number('25E-1')).toBe(2.5);
    expect<f64>(number('1000000')).toBe(1e6);
    expect<f64>(number('1e-400')).toBe(0);
  });

  it('is none when it is odd, negative or too large', () => {
    const odd = [
      '',
      ' ',
      '-1',
      '+1',
      'NaN',
      'nan',
      'inf',
      'Infinity',
      '1e',
      '1e+',
      'e3',
      '.',
      '1 2',
      '1,2',
      '0x10',
      '1e308',
      '1e999999999999',
      '1000001',
      '12ms',
      '\u00bd',
      '00000000000000000000000000000000000000001',
    ];
    for (let i = 0; i < odd.length; i++) expect<bool>(isNaN(number(odd[i]))).toBe(true, odd[i]);
  });
});
