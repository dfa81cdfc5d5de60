/* The templates' interpreter: what it writes is what Jinja2 3.1 wrote for the same template and variables in the
 * environment that transformers makes (each `want` was written by that program, none by ours); mistakes are a sentence
 * with the template's line; and a template without end, or one that grows without end, is stopped soon. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "template/template.h"
#include "template/template_run.h"

#define MESSAGES \
	"{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"U\"}, " \
	"{\"role\": \"assistant\", \"content\": \"A\"}]}"
#define VALUES \
	"{\"l\": [3, 1, 2], \"d\": {\"b\": 1, \"a\": [true, null, 0.5]}, \"s\": \"Hello World\", \"n\": 7, \"x\": " \
	"2.5, \"none\": null, \"t\": true}"
#define PEOPLE \
	"{\"p\": [{\"n\": \"a\", \"v\": 1, \"on\": true}, {\"n\": \"B\", \"v\": 3}, {\"n\": \"c\", \"v\": 2, \"on\": " \
	"false}]}"

struct rendering { const char *template, *variables, *want; };
static const struct rendering renderings[] = {
	/* whitespace */
	{ "a\n{% if true %}\nb\n{% endif %}\nc\n", NULL, "a\nb\nc" },
	{ "a\n    {% if true %}\n  b\n\t{% endif %}\nc", NULL, "a\n  b\nc" },
	{ "  {{ 1 }}  \n  {{- 2 }}  \n", NULL, "  12  " },
	{ "a  {{- 1 -}}  b", NULL, "a1b" },
	{ "a \n\n {%- if true -%} \n b \n {%- endif -%} \n c", NULL, "abc" },
	{ "a {%+ if true %}\nb{% endif %}", NULL, "a b" },
	{ "  {%+ if true +%}\nb\n{% endif %}", NULL, "  \nb\n" },
	{ "x  {% set a = 1 %}\ny", NULL, "x  y" },
	{ "{# c #}\nx\n  {# d #}\ny", NULL, "x\ny" },
	{ "a {#- c -#} b", NULL, "ab" },
	{ "line\n\n", NULL, "line\n" },
	{ "\n\nline", NULL, "\n\nline" },
	{ "a\r\n{% if true %}\r\nb{% endif %}", NULL, "a\nb" },
	{ "{{ 1 }}\n{{ 2 }}\n", NULL, "1\n2" },
	{ "a{% if true %}  b  {% endif %}  \n", NULL, "a  b    " },
	{ "  {#- c #} d", NULL, " d" },
	{ "{%- if true %} x{% endif %}", NULL, " x" },
	{ "a\n   {{ 1 }}", NULL, "a\n   1" },
	{ "a\n  \t {%- set x = 1 -%}\n\n  b", NULL, "ab" },
	/* raw and comments */
	{ "{% raw %}{{ x }} {% if %}{% endraw %}", NULL, "{{ x }} {% if %}" },
	{ "a\n{% raw %}\n {{ x }}\n{% endraw %}\nb", NULL, "a\n\n {{ x }}\nb" },
	{ "{%- raw -%} {{ y }} {%- endraw -%} z", NULL, "{{ y }}z" },
	{ "{# {{ x }} {% if %} #}ok", NULL, "ok" },
	{ "a{# multi\nline\n#}b", NULL, "ab" },
	{ "{{ '{{' }}{{ '%}' }}", NULL, "{{%}" },
	/* set and namespace */
	{ "{% set a = 1 %}{{ a }}", NULL, "1" },
	{ "{% set a, b = 1, 2 %}{{ a + b }}", NULL, "3" },
	{ "{% set (a, b) = [1, 2] %}{{ b }}", NULL, "2" },
	{ "{% set a = 1 %}{% for i in [1, 2] %}{% set a = i %}{% endfor %}{{ a }}", NULL, "1" },
	{ "{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", NULL,
	  "4" },
	{ "{% set ns = namespace() %}{% set ns.x = 'y' %}{{ ns.x }}{{ ns.z is defined }}", NULL, "yFalse" },
	{ "{% set ns = namespace({'a': 2}, b=3) %}{{ ns.a }}{{ ns['b'] }}", NULL, "23" },
	{ "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]", NULL, "[a1b]" },
	{ "{% set x | upper %}abc{% endset %}{{ x }}", NULL, "ABC" },
	{ "{% set x | trim | replace('a', 'b') %} aa {% endset %}{{ x }}", NULL, "bb" },
	{ "{% if true %}{% set a = 5 %}{% endif %}{{ a }}", NULL, "5" },
	{ "{% set a = [1, 2] + [3] %}{{ a }}", NULL, "[1, 2, 3]" },
	{ "{% set a = 1, 2 %}{{ a }}", NULL, "(1, 2)" },
	{ "{% set n = n + 1 %}{{ n }}", VALUES, "8" },
	{ "{% for i in [1] %}{% set n = 9 %}{{ n }}{% endfor %}{{ n }}", VALUES, "97" },
	{ "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", NULL, "3False" },
	{ "{% filter upper %}abc{{ 'd' }}{% endfilter %}", NULL, "ABCD" },
	/* for */
	{ "{% for m in messages %}{{ m.role }}:{{ m['content'] }};{% endfor %}", MESSAGES,
	  "system:S;user:U;assistant:A;" },
	{ "{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
	  "loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
	  NULL, "1032TrueFalse3 2121FalseFalse3 3210FalseTrue3 " },
	{ "{% for i in [] %}x{% else %}none{% endfor %}", NULL, "none" },
	{ "{% for i in [1] %}x{% else %}none{% endfor %}", NULL, "x" },
	{ "{% for i in range(6) if i % 2 %}{{ i }}/{{ loop.index }}/{{ loop.length }} {% endfor %}", NULL,
	  "1/1/3 3/2/3 5/3/3 " },
	{ "{% for i in [1, 2] if i > 5 %}x{% else %}none{% endfor %}", NULL, "none" },
	{ "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i "
	  "}}{% endfor %}",
	  NULL, "013" },
	{ "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}-{{ b }} {% endfor %}", NULL, "1-2 3-4 " },
	{ "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", VALUES, "b=1;a=[True, None, 0.5];" },
	{ "{% for k in d %}{{ k }}{% endfor %}", VALUES, "ba" },
	{ "{% for c in 'äb' %}[{{ c }}]{% endfor %}", NULL, "[ä][b]" },
	{ "{% for i in [1, 2, 3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", NULL,
	  "<1>2 1<2>3 2<3> " },
	{ "{% for i in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{% endfor %}", NULL, "aba" },
	{ "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}", NULL,
	  "True False True False True " },
	{ "{% for i in [1, 2] %}{{ loop.changed() }}{% for j in [3, 3] %}{{ "
	  "loop.changed(i, j) }}{% endfor %}{% endfor %}", NULL,
	  "TrueTrueFalseFalseTrueFalse" },
	{ "{% for i in [1, 2] %}{% set l = loop %}{{ l.index }}{% endfor %}", NULL, "12" },
	{ "{% for i in [1, 2] %}{% for j in [1, 2] %}{{ i }}{{ j }}{{ loop.index }} {% endfor %}{{ loop.index }};{% "
	  "endfor %}",
	  NULL, "111 122 1;211 222 2;" },
	{ "{% for i in [1, 2] %}{% for j in [1, 2, 3] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor "
	  "%}x{% endfor %}",
	  NULL, "11 x21 x" },
	{ "{% for m in messages[1:] %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", MESSAGES,
	  "user, assistant" },
	{ "{% for m in messages | reverse %}{{ m.role[0] }}{% endfor %}", MESSAGES, "aus" },
	{ "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}", NULL, "123" },
	{ "{% for i in missing %}x{% else %}e{% endfor %}", NULL, "e" },
	{ "{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}", NULL, "531" },
	{ "{% for i in [1] %}{% break %}{% else %}e{% endfor %}", NULL, "e" },
	{ "{% for i in [1, 2] %}{% if loop.first %}{% continue %}{% endif %}{{ i }}{% else %}e{% endfor %}", NULL,
	  "2" },
	/* if */
	{ "{% if 0 %}a{% elif '' %}b{% elif [] %}c{% elif {} %}d{% elif none %}e{% else %}f{% endif %}", NULL, "f" },
	{ "{% if 1 %}a{% elif 1 %}b{% endif %}", NULL, "a" },
	{ "{% if missing %}a{% endif %}b", NULL, "b" },
	{ "{% if not missing and 'a' or 0 %}y{% endif %}", NULL, "y" },
	{ "{{ 'a' if true else 'b' }}{{ 'a' if false else 'b' }}[{{ 'a' if false }}]", NULL, "ab[]" },
	{ "{{ 1 if 0 else 2 if 0 else 3 }}", NULL, "3" },
	{ "{{ (1 if true else 2) + 1 }}", NULL, "2" },
	{ "{{ none or 'x' }}{{ 0 or [] }}{{ 1 and 2 }}{{ 0 and 2 }}{{ not 1 }}", NULL, "x[]20False" },
	{ "{% if 'a' == 'a' and not (1 > 2 or 3 < 2) %}ok{% endif %}", NULL, "ok" },
	/* macros */
	{ "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }}", NULL,
	  "12 13 45" },
	{ "{% macro m(a) %}[{{ a is defined }}]{% endmacro %}{{ m() }}", NULL, "[False]" },
	{ "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", NULL, "(1, 2){'x': 3}" },
	{ "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ kwargs }}{% endmacro %}{{ m(*[1], **{'b': 7, 'x': 3}) }}", NULL,
	  "17{'x': 3}" },
	{ "{{ dict(**{'a': 1, 'b': 2}) }}", NULL, "{'a': 1, 'b': 2}" },
	{ "{% macro m() %}{{ caller() }}{{ kwargs }}{% endmacro %}{% call m(**{'a': 1}) %}in{% endcall %}", NULL,
	  "in{'a': 1}" },
	{ "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}", NULL, "7" },
	{ "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", NULL, "3210" },
	{ "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", NULL, "121" },
	{ "{% macro m(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call m('b') %}in{% endcall %}", NULL,
	  "<b>in</b>" },
	{ "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a + b }}{% endcall %}", NULL, "3" },
	{ "{% macro m() -%}\n  x\n{%- endmacro %}[{{ m() }}]", NULL, "[x]" },
	{ "{% macro m() %} a {% endmacro %}{{ m() | trim }}{{ m() ~ 'b' }}{{ m().strip() }}", NULL, "a a ba" },
	{ "{% macro m(l) %}{% for i in l %}{% if i is iterable %}({{ m(i) }}){% else %}{{ i }}{% endif %}{% endfor "
	  "%}{% endmacro %}{{ m([1, [2, [3]], 4]) }}",
	  NULL, "1(2(3))4" },
	{ "{% macro m(a, b='x') %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}", NULL, "12" },
	{ "{% for i in [1, 2] %}{{ m(i) if m is defined }}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(i) }}{% endfor "
	  "%}",
	  NULL, "<1><2>" },
	/* tojson */
	{ "{{ d | tojson }}", VALUES, "{\"b\": 1, \"a\": [true, null, 0.5]}" },
	{ "{{ d | tojson(indent=2) }}", VALUES, "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null,\n    0.5\n  ]\n}" },
	{ "{{ l | tojson(indent=4) }}", VALUES, "[\n    3,\n    1,\n    2\n]" },
	{ "{{ 'ä <b>&\\'\"\\n\\t' | tojson }}", NULL, "\"ä <b>&'\\\"\\n\\t\"" },
	{ "{{ {} | tojson(indent=2) }}{{ [] | tojson(indent=2) }}", NULL, "{}[]" },
	{ "{{ {'a': {'b': []}, 'c': [{}]} | tojson(indent=1) }}", NULL,
	  "{\n \"a\": {\n  \"b\": []\n },\n \"c\": [\n  {}\n ]\n}" },
	{ "{{ none | tojson }}{{ true | tojson }}{{ 1.0 | tojson }}{{ 1e20 | tojson }}{{ (1, 2) | tojson }}", NULL,
	  "nulltrue1.01e+20[1, 2]" },
	{ "{{ {1: 2, none: 3, true: 4} | tojson }}", NULL, "{\"1\": 4, \"null\": 3}" },
	{ "{{ '\\u2028\\x7f' | tojson }}", NULL, "\"\342\200\250\177\"" },
	{ "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", NULL, "{\"a\": 2, \"b\": 1}" },
	{ "{{ [1, {'a': 2}] | tojson(separators=(',', ':')) }}", NULL, "[1,{\"a\":2}]" },
	{ "{{ 'ä' | tojson(ensure_ascii=true) }}", NULL, "\"\\u00e4\"" },
	/* text filters */
	{ "{{ '  a b ' | trim }}|{{ 'xxaxx' | trim('x') }}", NULL, "a b|a" },
	{ "{{ 'aXbX' | replace('X', '-') }}{{ 'aaa' | replace('a', 'b', 2) }}", NULL, "a-b-bba" },
	{ "{{ 'heLLo wOrld' | capitalize }} {{ 'heLLo wOrld-x y' | title }} {{ 'aß' | upper }} {{ 'ÄB' | lower }}",
	  NULL, "Hello world Hello World-X Y ASS äb" },
	{ "{{ 'a\nb\n\nc' | indent }}", NULL, "a\n    b\n\n    c" },
	{ "{{ 'a\nb' | indent(2, true) }}", NULL, "  a\n  b" },
	{ "{{ 'a\n\nb' | indent(width=1, blank=true) }}", NULL, "a\n \n b" },
	{ "{{ 'a\nb' | indent('> ') }}", NULL, "a\n> b" },
	{ "{{ 'one two  three' | wordcount }}", NULL, "3" },
	{ "{{ '%s is %d or %.2f' | format('x', 3, 2.5) }}", NULL, "x is 3 or 2.50" },
	{ "{{ '%5s|%-5s|%05d|%x' | format('a', 'b', 42, 255) }}", NULL, "    a|b    |00042|ff" },
	{ "{{ 'abc' | length }}{{ 'äöü' | count }}", NULL, "33" },
	{ "{{ 5 | string ~ 'a' }}", NULL, "5a" },
	{ "{{ 'abc' | reverse }}{{ 'abc' | first }}{{ 'abc' | last }}{{ 'abc' | list }}", NULL,
	  "cbaac['a', 'b', 'c']" },
	{ "{{ '<a href=\"x\">&\\'</a>' | escape }}", NULL, "&lt;a href=&#34;x&#34;&gt;&amp;&#39;&lt;/a&gt;" },
	{ "{{ '<' | e ~ '>' }}", NULL, "&lt;>" },
	{ "{{ ('<' | safe) + '>' }}", NULL, "<&gt;" },
	{ "{{ '<b>' | safe }}", NULL, "<b>" },
	{ "{{ 'a,b' | replace(',', '\\n') }}", NULL, "a\nb" },
	{ "{{ '12' | int + 1 }}{{ 'x' | int(5) }}{{ '3.9' | int }}{{ ' 4 ' | int }}{{ '0x1f' | int(0, 16) }}", NULL,
	  "1353431" },
	{ "{{ 'x1' | int('x') }}", NULL, "x" },
	/* list filters */
	{ "{{ [1, 2, 3] | join(', ') }}{{ ['a', 'b'] | join }}", NULL, "1, 2, 3ab" },
	{ "{{ p | join('-', attribute='n') }}", PEOPLE, "a-B-c" },
	{ "{{ p | map(attribute='n') | list }}", PEOPLE, "['a', 'B', 'c']" },
	{ "{{ p | map(attribute='z', default='-') | join }}", PEOPLE, "---" },
	{ "{{ ['a', 'b'] | map('upper') | join }}", NULL, "AB" },
	{ "{{ [' a '] | map('trim') | list }}", NULL, "['a']" },
	{ "{{ ['ab'] | map('replace', 'a', 'x') | first }}", NULL, "xb" },
	{ "{{ range(5) | select('odd') | list }}{{ range(5) | reject('odd') | list }}{{ [0, 1, none] | select | list "
	  "}}",
	  NULL, "[1, 3][0, 2, 4][1]" },
	{ "{{ p | selectattr('on') | map(attribute='n') | list }}", PEOPLE, "['a']" },
	{ "{{ p | selectattr('n', 'equalto', 'a') | list | length }}", PEOPLE, "1" },
	{ "{{ p | selectattr('v', 'gt', 1) | map(attribute='v') | sum }}", PEOPLE, "5" },
	{ "{{ p | rejectattr('on', 'defined') | map(attribute='n') | list }}", PEOPLE, "['B']" },
	{ "{{ p | selectattr('n', 'in', ['a', 'c']) | map(attribute='v') | list }}", PEOPLE, "[1, 2]" },
	{ "{{ l | sort }}{{ l | sort(reverse=true) }}{{ l }}", VALUES, "[1, 2, 3][3, 2, 1][3, 1, 2]" },
	{ "{{ p | sort(attribute='v', reverse=true) | map(attribute='n') | join }}", PEOPLE, "Bca" },
	{ "{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}", NULL,
	  "['A', 'b', 'c']['A', 'b', 'c']" },
	{ "{{ d | dictsort }}", VALUES, "[('a', [True, None, 0.5]), ('b', 1)]" },
	{ "{{ {'b': 1, 'a': 2} | dictsort(by='value', reverse=true) }}", NULL, "[('a', 2), ('b', 1)]" },
	{ "{{ d | items | list }}", VALUES, "[('b', 1), ('a', [True, None, 0.5])]" },
	{ "{{ l | min }}{{ l | max }}{{ l | sum }}{{ l | first }}{{ l | last }}{{ l | length }}", VALUES, "136323" },
	{ "{{ [1, 2, 1, 'a', 'A'] | unique | list }}", NULL, "[1, 2, 'a']" },
	{ "{{ [1, 2, 3] | reverse | list }}", NULL, "[3, 2, 1]" },
	{ "{{ p | sum(attribute='v') }}", PEOPLE, "6" },
	{ "{{ d | list }}{{ d | length }}", VALUES, "['b', 'a']2" },
	{ "{{ p | max(attribute='v') | attr('n') }}", PEOPLE, "" },
	{ "{{ [] | first is defined }}{{ [] | max is defined }}", NULL, "FalseFalse" },
	{ "{{ [3, 1] | map('string') | sort | join(',') }}", NULL, "1,3" },
	{ "{{ p | map(attribute='n') | sort(case_sensitive=true) | join }}", PEOPLE, "Bac" },
	{ "{{ {} | tojson(sort_keys=true) }}{{ {} | pprint }}", NULL, "{}{}" },
	/* number filters and default */
	{ "{{ 2.5 | round }}{{ 3.5 | round }} {{ 2.345 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | "
	  "round(method='floor') }}",
	  NULL, "2.04.0 2.35 3.0 2.0" },
	{ "{{ 3.7 | int }}{{ -3.7 | int }}{{ '2.5' | float }}{{ 'x' | float }}{{ 'x' | float(1.5) }}{{ true | int }}",
	  NULL, "3-32.50.01.51" },
	{ "{{ -3 | abs }}{{ -2.5 | abs }}", NULL, "32.5" },
	{ "{{ missing | default('d') }}{{ none | default('d') }}{{ '' | default('d', true) }}{{ 0 | d(5, boolean=true) "
	  "}}",
	  NULL, "dNoned5" },
	{ "{{ 7 | round }}{{ 1234.5 | round(-2) }}", NULL, "71200.0" },
	{ "{{ d.zzz | default('q') }}", VALUES, "q" },
	/* tests */
	{ "{{ missing is defined }}{{ missing is undefined }}{{ none is none }}{{ 1 is none }}", NULL,
	  "FalseTrueTrueFalse" },
	{ "{{ 1 is number }}{{ 1.5 is float }}{{ 1 is integer }}{{ true is integer }}{{ true is boolean }}{{ true is "
	  "number }}",
	  NULL, "TrueTrueTrueFalseTrueTrue" },
	{ "{{ 'a' is string }}{{ [] is string }}{{ {} is mapping }}{{ [] is sequence }}{{ 'a' is iterable }}{{ 5 is "
	  "iterable }}{{ {} is sequence }}",
	  NULL, "TrueFalseTrueTrueTrueFalseTrue" },
	{ "{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby(3) }}{{ 9 is divisibleby 2 }}", NULL, "TrueTrueTrueFalse" },
	{ "{{ 1 is eq(1) }}{{ 1 is ne 2 }}{{ 1 is lt(2) }}{{ 1 is ge(1) }}{{ 'a' is in(['a']) }}{{ 'a' is sameas 'a' "
	  "}}",
	  NULL, "TrueTrueTrueTrueTrueTrue" },
	{ "{{ true is true }}{{ false is false }}{{ 1 is true }}{{ 'ab' is lower }}{{ 'AB' is upper }}", NULL,
	  "TrueTrueFalseTrueTrue" },
	{ "{{ 1 is not none }}{{ missing is not defined }}{{ range is callable }}{{ 'x' is callable }}", NULL,
	  "TrueTrueTrueFalse" },
	{ "{{ 'upper' is filter }}{{ 'odd' is test }}{{ 'nix' is filter }}", NULL, "TrueTrueFalse" },
	{ "{{ 1 is defined and 2 is defined }}{{ not 1 is none }}", NULL, "TrueTrue" },
	{ "{{ none is iterable }}{{ none is defined }}{{ 0 is number }}", NULL, "FalseTrueTrue" },
	/* text methods */
	{ "{{ ' a  b  c \n'.split(none, 1) }}{{ ' a  b  c \n'.rsplit(none, 1) }}", NULL,
	  "['a', 'b  c \\n'][' a  b', 'c']" },
	{ "{{ missing is sameas(gone) }}{{ [1] is sameas([1]) }}{% set l = [1] %}{{ l is sameas(l) }}", NULL,
	  "FalseFalseTrue" },
	{ "{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xyax'.strip('yx') }}", NULL, "a|a | a|a" },
	{ "{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a b c'.split(none, 1) }}{{ "
	  "'a-b-c'.rsplit('-', 1) }}",
	  NULL, "['a', 'b', '', 'c']['a', 'b']['a', 'b,c']['a', 'b c']['a-b', 'c']" },
	{ "{{ 'abc'.startswith('a') }}{{ 'abc'.endswith('bc') }}{{ 'abc'.startswith(('x', 'a')) }}", NULL,
	  "TrueTrueTrue" },
	{ "{{ 'abcabc'.find('c') }}{{ 'abcabc'.rfind('c') }}{{ 'abc'.find('z') }}{{ 'äbc'.index('c') }}{{ "
	  "'aaa'.count('a') }}",
	  NULL, "25-123" },
	{ "{{ 'aXb'.replace('X', '') }}{{ 'aaa'.replace('a', 'b', 1) }}{{ 'ab'.replace('', '-') }}", NULL,
	  "abbaa-a-b-" },
	{ "{{ 'aBc'.upper() }}{{ 'aBc'.lower() }}{{ 'aBc'.title() }}{{ 'aBc'.capitalize() }}{{ 'aBc'.swapcase() }}",
	  NULL, "ABCabcAbcAbcAbC" },
	{ "{{ 'a\\nb\\r\\nc'.splitlines() }}{{ '-'.join(['a', 'b']) }}", NULL, "['a', 'b', 'c']a-b" },
	{ "{{ 'prefix'.removeprefix('pre') }}{{ 'a.py'.removesuffix('.py') }}{{ 'a=b=c'.partition('=') }}{{ "
	  "'a=b=c'.rpartition('=') }}",
	  NULL, "fixa('a', '=', 'b=c')('a=b', '=', 'c')" },
	{ "{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}{{ '{} {x} {1}{{}}'.format('a', 'b', x=1) if false }}{{ "
	  "'{0}-{name}'.format(1, name='n') }}",
	  NULL, "007-0071-n" },
	{ "{{ '12'.isdigit() }}{{ 'a1'.isalnum() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ ''.isdigit() }}{{ "
	  "'AB'.isupper() }}{{ 'ab'.islower() }}",
	  NULL, "TrueTrueTrueTrueFalseTrueTrue" },
	{ "{{ 'x'.nope is defined }}", NULL, "False" },
	/* Unicode's white space, digits and case */
	{ "{{ 'straße ﬁn'.upper() }}|{{ 'ΟΔΟΣ ΑΣ.'.lower() }}|{{ 'ŉ ǆ ß'.title() }}|{{ 'ßA'.capitalize() "
	  "}}|{{ 'ßΣ'.swapcase() }}|{{ 'Straße'.casefold() }}",
	  NULL, "STRASSE FIN|οδος ας.|ʼN ǅ Ss|Ssa|SSς|strasse" },
	{ "{{ 'straße (über-ﬁn) ΑΣ\\u00a0x1a' | title }}|{{ 'straße' | upper }}|{{ 'ﬁ' | capitalize "
	  "}}",
	  NULL, "Straße (Über-FIn) Ασ X1a|STRASSE|Fi" },
	{ "{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ '٣'.isdecimal() }}{{ '½'.isdigit() }}{{ '½五'.isnumeric() "
	  "}}{{ '½'.isalnum() }}{{ 'Ⅷ'.isupper() }}{{ 'ª'.islower() }}{{ 'ǅ' is upper }}",
	  NULL, "TrueFalseTrueFalseTrueTrueTrueTrueFalse" },
	{ "{{ 'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ 'é'.isascii() }}{{ ''.isascii() }}{{ 'a\\u00a0'.isprintable() "
	  "}}{{ 'é_1'.isidentifier() }}{{ '1a'.isidentifier() }}",
	  NULL, "TrueFalseFalseTrueFalseTrueFalse" },
	{ "{{ [' a  b c '.split(none, 1), ' a  b c '.rsplit(none, 1), 'a\\u00a0b\\u3000c'.split(), "
	  "'\\u2003x\\u200b'.strip()] }}",
	  NULL, "[['a', 'b c '], [' a  b', 'c'], ['a', 'b', 'c'], 'x\\u200b']" },
	{ "{{ 'a\\u2028b\\x1cc\\x1fd\\x85e'.splitlines() }}{{ 'a-b c_d é' | wordcount }}",
	  NULL, "['a', 'b', 'c\\x1fd', 'e']4" },
	{ "{{ '\\u00a0١٢_3 ' | int }}|{{ '١.٥' | float }}|{{ '1__0' | int(7) }}|{{ '0x10' | int(8) "
	  "}}|{{ '0x1p3' | float }}|{{ 'f_f' | int(base=16) }}|{{ '\\x1f3' | int(9) }}",
	  NULL, "123|1.5|7|8|0.0|255|9" },
	/* list and dict methods */
	{ "{{ l.index(1) }}{{ l.count(3) }}{{ d.get('b') }}{{ d.get('z') }}{{ d.get('z', 'q') }}", VALUES, "111Noneq" },
	{ "{{ d.keys() | list }}{{ d.values() | list }}{{ d.items() | list }}", VALUES,
	  "['b', 'a'][1, [True, None, 0.5]][('b', 1), ('a', [True, None, 0.5])]" },
	{ "{{ d.copy() == d }}{{ dict(d, c=1) | length }}{{ dict(a=1) }}", VALUES, "True3{'a': 1}" },
	{ "{{ {'items': 1}['items'] }}{{ {'a': 1}.a }}", NULL, "11" },
	{ "{{ {'get': 5}.get('get') }}", NULL, "5" },
	{ "{{ d['b'] }}{{ d.a[0] }}{{ d['z'] is defined }}{{ d.z is defined }}", VALUES, "1TrueFalseFalse" },
	/* slices and items */
	{ "{{ l[0] }}{{ l[-1] }}{{ l[1:] }}{{ l[:-1] }}{{ l[::-1] }}{{ l[::2] }}{{ l[5:] }}{{ l[-2:] }}", VALUES,
	  "32[1, 2][3, 1][2, 1, 3][3, 2][][1, 2]" },
	{ "{{ s[0] }}{{ s[-1] }}{{ s[:5] }}{{ s[6:] }}{{ s[::-1] }}{{ s[1:8:3] }}{{ s[-5:-2] }}[{{ s[8:2] }}]", VALUES,
	  "HdHelloWorlddlroW olleHeooWor[]" },
	{ "{{ 'äöü'[1:] }}{{ 'äöü'[-1] }}{{ 'äöü'[:2] }}{{ 'äöü'[2:0:-1] }}", NULL, "öüüäöüö" },
	{ "{{ (1, 2, 3)[1:] }}{{ [1, 2][9] is defined }}", NULL, "(2, 3)False" },
	{ "{{ messages[-1]['role'] }}{{ messages[0].content }}{{ messages[:1] | length }}", MESSAGES, "assistantS1" },
	{ "{{ [1, 2, 3][true] }}", NULL, "2" },
	{ "{{ [[1, 2], [3]][0][1] }}{{ 'abc'[none:2] }}", NULL, "2ab" },
	{ "{{ [1, 2, 3, 4][-9:9:1] }}{{ [1, 2, 3][2:-9:-1] }}", NULL, "[1, 2, 3, 4][3, 2, 1]" },
	/* operators */
	{ "{{ 1 + 2 * 3 - 4 }}{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % 3 }}{{ -7 % 3 }}{{ 2 ** 10 }}{{ 7 / 2 }}{{ 4 / 2 }}",
	  NULL, "33-41210243.52.0" },
	{ "{{ 1 + 1.5 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 2 ** -1 }}{{ 2 ** 0.5 }}", NULL,
	  "2.53.00.50.51.4142135623730951" },
	{ "{{ 'a' + 'b' }}{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] }}{{ 'ab' * 3 }}{{ [1] * 2 }}{{ 2 * 'x' }}", NULL,
	  "aba1NoneTrue1.0[1]ababab[1, 1]xx" },
	{ "{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 1 == 1.0 }}{{ 1 == true }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 1 != 2 }}",
	  NULL, "TrueFalseTrueTrueTrueTrueTrue" },
	{ "{{ 'a' in 'abc' }}{{ 1 in [1] }}{{ 'k' in {'k': 1} }}{{ 'z' not in 'abc' }}{{ 'a' in missing }}", NULL,
	  "TrueTrueTrueTrueFalse" },
	{ "{{ -2 ** 2 }}{{ (-2) ** 2 }}{{ - - 1 }}{{ +1 }}{{ 2 ** 3 ** 2 }}", NULL, "441164" },
	{ "{{ 'a' ~ 'b' | upper }}{{ ('a' ~ 'b') | upper }}", NULL, "aBAB" },
	{ "{{ not 1 == 2 }}{{ 1 if not (2 in [1]) else 0 }}", NULL, "True1" },
	{ "{{ '%s-%s' % ('a', 1) }}{{ 'n: %d' % 5 }}", NULL, "a-1n: 5" },
	{ "{{ true + 1 }}{{ true and false }}{{ (1, 2) + (3,) }}", NULL, "2False(1, 2, 3)" },
	{ "{{ 1 == '1' }}{{ none == false }}{{ [] == () }}{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}", NULL,
	  "FalseFalseFalseTrue" },
	{ "{{ -1 | abs }}{{ 5 - 3 | abs }}", NULL, "12" },
	/* what values look like */
	{ "{{ none }} {{ true }} {{ 1 }} {{ 1.0 }} {{ 1e16 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 123456789012.5 }}", NULL,
	  "None True 1 1.0 1e+16 0.30000000000000004 1e-05 123456789012.5" },
	{ "{{ [1, 'a', none, true, 1.5, 'it\\'s', \"q\\\"\", 'b\\'\\\"'] }}", NULL,
	  "[1, 'a', None, True, 1.5, \"it's\", 'q\"', 'b\\'\"']" },
	{ "{{ {'a': 'ä', 1: [(), (1,), (1, 2)]} }}", NULL, "{'a': 'ä', 1: [(), (1,), (1, 2)]}" },
	{ "{{ ['\\n\\t\\\\\\x00\\u200b\\xa0🙂'] }}", NULL, "['\\n\\t\\\\\\x00\\u200b\\xa0🙂']" },
	{ "[{{ missing }}]", NULL, "[]" },
	{ "{{ \"a\\\"b\" }}{{ 'a\\'b' }}{{ 'a' 'b' }}", NULL, "a\"ba'bab" },
	{ "{{ {'k': {'n': none}} }}", NULL, "{'k': {'n': None}}" },
	{ "{{ 1e100 }} {{ -0.0 }} {{ 1e22 }} {{ 5e-324 }} {{ 100000.0 }}", NULL, "1e+100 -0.0 1e+22 5e-324 100000.0" },
	{ "{{ range(3) | list }}{{ [none] }}{{ ['<' | escape] | length }}", NULL, "[0, 1, 2][None]1" },
	{ "{{ '\\x41\\u00e9\\t|' }}", NULL, "Aé\t|" },
	{ "{{ [missing] | length }}", NULL, "1" },
	{ "{{ True }}{{ False }}{{ None }}{{ true }}", NULL, "TrueFalseNoneTrue" },
	/* undefined */
	{ "{{ missing }}{{ missing | length }}{{ missing | list }}{{ missing == missing }}{{ missing | join }}", NULL,
	  "0[]True" },
	{ "{{ d.x }}{{ d['x'] }}{{ l[9] }}{{ none_ is defined }}", VALUES, "False" },
	{ "{{ missing | upper }}|{{ missing | trim }}|{{ missing | tojson if false }}", NULL, "||" },
	{ "{{ (missing or 'x') ~ missing }}{{ missing is none }}{{ missing != 'a' }}", NULL, "xFalseTrue" },
	{ "{{ none.x is defined }}{{ (1).x is defined }}{{ 'a'['b'] is defined }}", NULL, "FalseFalseFalse" },
	{ "{% if messages[9] is defined and messages[9].role == 'system' %}y{% else %}n{% endif %}", MESSAGES, "n" },
};

static const struct { const char *template, *variables, *want; size_t n; size_t spans[4][2];
} generations[] = {
	{ "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration "
	  "%}{% else %}{{ m.content }}\n{% endif %}{% endfor %}",
	  MESSAGES,
	  "S\nU\nA</s>",
	  1,
	  { { 4, 9 } } },
	{ "ä{% generation %}ö{% endgeneration %}{% generation %}{% endgeneration %}x{% generation %}yz{% endgeneration "
	  "%}",
	  NULL,
	  "äöxyz",
	  3,
	  { { 2, 4 }, { 4, 4 }, { 5, 7 } } },
	{ "a\n{% generation %}\nb\n{% endgeneration %}\nc", NULL, "a\nb\nc", 1, { { 2, 4 } } },
	{ "{% generation %}{% set a = 1 %}{{ a }}{% endgeneration %}{{ a is defined }}",
	  NULL,
	  "1False",
	  1,
	  { { 0, 1 } } },
};

/* The sentence's beginning. */
static const struct { const char *template, *want;
} mistakes[] = {
	{ "a\n{{ 1 +", "line 2: the end of {{ is missing" },
	{ "a\n{% nope %}", "line 2: 'nope'" },
	{ "\n\n{% if true %}x", "line 3: else was wanted before the end of the template" },
	{ "{% for i in [1] %}x\n\n", "line 2: endfor was wanted before the end of the template" },
	{ "a\n{{ 'x' | nope }}", "line 2: the filter 'nope' is not known here" },
	{ "{{ 1 is nope }}", "line 1: the test 'nope' is not known here" },
	{ "\n{{ missing.x }}", "line 2: 'missing' is undefined" },
	{ "a\n\n{{ missing.x.y }}", "line 3: 'missing' is undefined" },
	{ "{{ missing() }}", "line 1: 'missing' is undefined" },
	{ "\n{{ 'x'.nope() }}", "line 2: 'nope' is undefined" },
	{ "{% endif %}", "line 1: 'endif'" },
	{ "{% if %}", "line 1: an expression was wanted before the end of the tag" },
	{ "x\n{{ 'abc }}", "line 2: a string does not end" },
	{ "{{ (1, 2 }}", "line 1: the end of {{ is missing" },
	{ "{% set 1 = 2 %}", "line 1: '1' where a name was wanted" },
	{ "{{ 1 / 0 }}", "line 1: division by zero" },
	{ "a\n{{ 1 + 'a' }}", "line 2: + between int and str is not possible" },
	{ "{{ 'a' + 1 }}", "line 1: + between str and int is not possible" },
	{ "{{ 'a' < 1 }}", "line 1: 'str' and 'int' cannot be ordered" },
	{ "{% for i in 5 %}{% endfor %}", "line 1: 'int' object is not iterable" },
	{ "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "line 1: 3 values for 2 names" },
	{ "{% for a, b in [(1,)] %}{% endfor %}", "line 1: 1 values for more names" },
	{ "{{ raise_exception('no system role') }}", "line 1: the template refuses: no system role" },
	{ "{{ [].append is defined }}{{ [].append(2) }}", "line 1: 'append, which would change a list,' is undefined" },
	{ "{{ {}.update({}) }}", "line 1: 'update, which would change a dict,' is undefined" },
	{ "{% set x = namespace() %}\n{% set y = 1 %}{% set y.a = 2 %}",
	  "line 2: only a namespace's attributes can be set" },
	{ "{{ 5() }}", "line 1: int cannot be called" },
	{ "{{ [1, 2] | map('nope') | list }}", "line 1: the filter 'nope' is not known here" },
	{ "{{ [1, 'a'] | sort }}", "line 1: sort: 'int' and 'str' cannot be ordered" },
	{ "{% break %}", "line 1: break or continue outside of a loop" },
	{ "{{ a b }}", "line 1: 'b' where }} was wanted" },
	{ "{# never closed", "line 1: a comment does not end" },
	{ "{% raw %}x", "line 1: {% raw %} does not end" },
	{ "{{ [] | tojson(}}", "line 1: the end of {{ is missing" },
	{ "{{ missing + 1 }}", "line 1: 'missing' is undefined" },
	{ "{{ -missing }}", "line 1: 'missing' is undefined" },
	{ "{{ 'a' in 5 }}", "line 1: int cannot be looked into for str" },
	{ "{{ 5 | length }}", "line 1: length: object of type 'int' has no length" },
	{ "{{ range(3) | select | length }}", "line 1: length: a generator has no length" },
	{ "{{ none.x.y }}", "line 1: 'x' is undefined" },
	{ "{{ {}['a'].b }}", "line 1: 'a' is undefined" },
	{ "{{ '' | first | length if false else [][0].x }}", "line 1: 'an item beyond the end' is undefined" },
	{ "{{ missing | tojson }}", "line 1: tojson: object of type Undefined cannot be written a" },
	{ "{% macro m %}{% endmacro %}", "line 1: '(' was wanted before the end of the tag" },
	{ "{{ 'x' | int | nope }}", "line 1: the filter 'nope' is not known here" },
	{ "{% if true %}\n{% else %}\n{% nope %}{% endif %}", "line 3: 'nope'" },
	{ "{% include 'x' %}", "line 1: 'include'" },
	{ "{% extends 'x' %}", "line 1: 'extends'" },
	{ "{{ 2 ** 'a' }}", "line 1: ** between int and str is not possible" },
	{ "{{ 'a'.split('') }}", "line 1: split: the separator is empty" },
	{ "{{ 'abc'.index('z') }}", "line 1: index: the text is not there" },
	{ "{{ [1].index(2) }}", "line 1: index: the value is not in the list" },
	{ "{{ range(1, 5, 0) }}", "line 1: range wants a step that is not 0" },
	{ "{{ [1][::0] }}", "line 1: a slice wants whole numbers, and a step that is not " },
	{ "{% call 5 %}{% endcall %}", "line 1: the call of a macro was wanted before the end of the" },
	{ "{{ } }}", "line 1: '}' where an expression was wanted" },
	{ "{{ 1 if }}", "line 1: an expression was wanted before the end of the tag" },
	{ "{{ @ }}", "line 1: unexpected character '@'" },
	{ "{{ {1 2} }}", "line 1: '2' where ':' was wanted" },
	{ "{{ x[ }}", "line 1: the end of {{ is missing" },
	{ "{{ x. }}", "line 1: a name was wanted before the end of the tag" },
	{ "{% for in x %}", "line 1: 'x' where 'in' was wanted" },
	{ "{% for x %}{% endfor %}", "line 1: 'in' was wanted before the end of the tag" },
	{ "{% elif x %}", "line 1: 'elif'" },
	{ "{% set %}", "line 1: a name was wanted before the end of the tag" },
	{ "{{ ''.join([1]) }}", "line 1: join: item 0 is int, a text was wanted" },
	{ "{{ 'a' * 'b' }}", "line 1: * between str and str is not possible" },
	{ "{{ {}.x.y }}", "line 1: 'x' is undefined" },
	{ "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "line 1: the macro 'm' takes 1 arguments, not 2" },
	{ "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
	  "line 1: the macro 'm' takes no 'b', or has it already" },
	{ "{{ d['x']['y'] }}", "line 1: 'd' is undefined" },
	{ "{{ [1,2]|sum(start='a') }}", "line 1: sum: texts are not summed" },
	{ "{{ 'x' | round }}", "line 1: round wants a number and at most 30 digits, not str" },
	{ "{{ 'x' | abs }}", "line 1: abs: str is no number" },
	{ "{{ {[]: 1} }}", "line 1: a list cannot be a key" },
	{ "{{ 1e999 | int }}", "line 1: inf is too large for a whole number" },
	{ "{{ range('a') }}", "line 1: range: argument 1 is str, a whole number was wanted" },
	{ "{{ none | items | list }}", "line 1: items wants a dict, not NoneType" },
	{ "{{ 'x' | urlize('2') }}", "line 1: urlize: argument 1 is str, a whole number was wanted" },
	{ "{{ {'a b': 1} | xmlattr }}", "line 1: xmlattr: a key that is no name of an attribute" },
	{ "{{ 'x' | wordwrap(0) }}", "line 1: wordwrap: lines of 0 characters" },
	{ "{{ {'a': 1} | random }}", "line 1: random: dict has no items by number" },
	{ "{{ 'x'.translate is defined }}{{ 'x'.translate({}) }}", "line 1: 'translate' is not known here" },
	{ "{{ range(3).stop is defined }}", "line 1: 'stop' of range is not known here" },
	{ "{{ lipsum is defined }}{{ lipsum() }}", "line 1: 'lipsum' is not known here" },
	{ "{{ missing | int(3) }}", "line 1: 'missing' is undefined" },
	{ "{{ missing | float(3) }}", "line 1: 'missing' is undefined" },
	{ "ok\n\xc3( {{ 1 }}", "line 2: the template is not UTF-8" },
	{ "{{ 99999999999999999999 }}", "line 1: a whole number is too large" },
	{ "{{ 9223372036854775807 + 1 }}", "line 1: a whole number grows too large" },
};

static int render(const char *template, const char *variables, struct template_output *out, struct err *e)
{
	json_t *v = variables ? jsonx_load(variables, strlen(variables), "variables", e) : json_object();
	struct template *t = template_parse(template, e);
	int status = t && v ? template_run(t, v, out, e) : -1;

	template_free(t);
	json_decref(v);
	return status;
}

static void check_text(struct test *t, const struct rendering *r)
{
	struct err e = ERR_INIT;
	struct template_output out;

	if (render(r->template, r->variables, &out, &e) < 0) {
		CHECK_MSG(t, false, "%s: %s", r->template, e.msg);
		return;
	}
	CHECK_MSG(t, out.text.len == strlen(r->want) && !memcmp(buf_str(&out.text), r->want, out.text.len),
	          "%s\n  gives %s\n  not   %s", r->template, buf_str(&out.text), r->want);
	CHECK_MSG(t, out.n_spans == 0, "%s: %zu spans", r->template, out.n_spans);
	template_output_release(&out);
}

static void check_spans(struct test *t)
{
	for (size_t i = 0; i < ARRAY_LEN(generations); i++) {
		struct err e = ERR_INIT;
		struct template_output out;
		if (render(generations[i].template, generations[i].variables, &out, &e) < 0) {
			CHECK_MSG(t, false, "%s: %s", generations[i].template, e.msg);
			continue;
		}
		CHECK_MSG(t, !strcmp(buf_str(&out.text), generations[i].want), "%s gives %s", generations[i].template,
		          buf_str(&out.text));
		CHECK_MSG(t, out.n_spans == generations[i].n, "%s: %zu spans", generations[i].template, out.n_spans);
		for (size_t k = 0; k < out.n_spans && k < generations[i].n; k++)
			CHECK_MSG(t,
			          out.spans[k].begin == generations[i].spans[k][0] &&
			                  out.spans[k].end == generations[i].spans[k][1],
			          "%s: span %zu is %zu..%zu", generations[i].template, k, out.spans[k].begin,
			          out.spans[k].end);
		template_output_release(&out);
	}
}

static void check_mistake(struct test *t, const char *template, const char *want)
{
	struct err e = ERR_INIT;
	struct template_output out;

	if (render(template, NULL, &out, &e) == 0) {
		CHECK_MSG(t, false, "%.200s gives %.200s, not a mistake", template, buf_str(&out.text));
		template_output_release(&out);
		return;
	}
	CHECK_MSG(t, !strncmp(e.msg, want, strlen(want)), "%.200s: %s\n  not %s", template, e.msg, want);
}

/* Each would run, or fill the memory, for hours. */
static void bounds(struct test *t)
{
	static const struct { const char *template, *want;
	} greedy[] = {
		{ "{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", "line 1: calls are nested more than 200 deep" },
		{ "{% macro f(n) %}{{ f(n + 1) ~ f(n + 1) }}{% endmacro %}\n{{ f(0) }}",
		  "line 1: calls are nested more than 200 deep" },
		{ "\n{{ range(1000000000) | length }}", "line 2: a range of more than 100000 numbers" },
		{ "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
		  "line 1: the template " },
		{ "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'a long text' * 99 }}{% endfor %}{% endfor "
		  "%}",
		  "line 1: the template " },
		{ "{{ 'x' * 9999999999 }}", "line 1: the template takes more than" },
		{ "{{ 'xxxxxxxxxxxxxxxx' * 1000 * 1000 * 1000 }}", "line 1: a text of more than 67108864 bytes" },
		{ "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
		  "line 1: " },
		{ "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x | replace('x', ns.x) "
		  "%}{% endfor %}",
		  "line 1: a text of more than 67108864 bytes" },
		{ "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
		  "ns.x }}",
		  "line 1: a value is nested too deep or grows too large" },
		{ "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x "
		  "}}",
		  "line 1: a value is nested too deep or grows too large" },
		{ "{% set ns = namespace(x=[1]) %}{% for i in range(17) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
		  "range(9999) | map('tojson') | list | length }}"
		  "{% for i in range(9999) %}{{ ns.x == ns.x }}{{ ns.x | tojson(indent=64) | length }}{% endfor %}",
		  "line 1: a text of more than 67108864 bytes" },
		{ "{% set x = 'a' * 500000 %}{{ (x ~ x).rfind('b' ~ x) }}", "line 1: the template takes more than" },
		{ "{{ range(99999) | map('string') | unique | list }}", "line 1: the template takes more than" },
		{ "{{ range(99999) | sort(reverse=true) }}", "line 1: the template takes more than" },
		{ "{{ 1 ** 9223372036854775807 }}", "line 1: the template takes more than" },
		{ "{{ '%999999999d' | format(1) }}", "line 1: format: " },
	};
	struct buf deep = BUF_INIT;

	test_case(t, "a template without end is stopped");
	for (size_t i = 0; i < ARRAY_LEN(greedy); i++)
		check_mistake(t, greedy[i].template, greedy[i].want);
	test_case(t, "deep nesting is refused");
	for (const char *const *open =
	             (const char *const[]){ "(", "[", "-", "not ", "{1:", "x[", "f(", "1 if 1 else ", NULL };
	     *open; open++) {
		buf_clear(&deep);
		buf_adds(&deep, "{{ ");
		for (int i = 0; i < 100000; i++)
			buf_adds(&deep, *open);
		buf_adds(&deep, " }}");
		check_mistake(t, buf_str(&deep), "line 1: ");
	}
	buf_clear(&deep);
	for (int i = 0; i < 100000; i++)
		buf_adds(&deep, "{% if 1 %}");
	check_mistake(t, buf_str(&deep), "line 1: expressions are nested too deeply");
	buf_clear(&deep);
	buf_adds(&deep, "{{ 1");
	for (int i = 0; i < 100000; i++)
		buf_adds(&deep, " + 1");
	buf_adds(&deep, " }}");
	check_mistake(t, buf_str(&deep), "line 1: calls are nested more than 200 deep");
	buf_release(&deep);
}

static void long_conversation(struct test *t)
{
	json_t *v = json_object(), *messages = json_array();
	struct err e = ERR_INIT;
	struct template_output out = { 0 };
	struct template *p = template_parse(
		"{% for m in messages %}{% if m.role == 'user' and messages | length > 0 %}<u>{{ m.content | trim }}\n"
		"{% else %}<a>{% generation %}{{ m.content.split('</think>')[-1][1:] }}{% endgeneration %}\n{% endif "
	        "%}{% endfor %}",
		&e);

	test_case(t, "a long conversation is within the bounds");
	for (int i = 0; i < 2000; i++)
		json_array_append_new(messages, json_pack("{s:s, s:s}", "role", i % 2 ? "assistant" : "user", "content",
		                                          "Some words, some more words, and an end of them."));
	json_object_set_new(v, "messages", messages);
	CHECK_MSG(t, p && template_run(p, v, &out, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, out.n_spans == 1000 && out.text.len == 2000 * 48 + 1000 * 6, "%zu spans, %zu bytes", out.n_spans,
	          out.text.len);
	template_output_release(&out);
	template_free(p);
	json_decref(v);
}

/* A beginning, a piece 200,000 times, an end. */
static char *long_template(const char *begin, const char *piece, const char *end)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, begin);
	for (int i = 0; i < 200000; i++)
		buf_adds(&b, piece);
	buf_adds(&b, end);
	return buf_detach(&b, NULL);
}

/* A model's template may be anybody's: chains end in a text or a sentence, rows of many keys in time. */
static void long_chains(struct test *t)
{
	struct err e = ERR_INIT;
	struct template_output out = { 0 };
	char *elifs = long_template("{% if false %}", "{% elif false %}x", "{% else %}end{% endif %}");
	char *filters = long_template("{% filter e", "|e", "%}hi{% endfilter %}");
	char *sets = long_template("{% set x | e", "|e", "%}hi{% endset %}");

	test_case(t, "chains of any length are a text or a sentence");
	CHECK(t, render(elifs, NULL, &out, &e) == 0 && !strcmp(buf_str(&out.text), "end"));
	template_output_release(&out);
	CHECK(t, render(filters, NULL, &out, &e) == -1 && strstr(e.msg, "nested"));
	CHECK(t, render(sets, NULL, &out, &e) == -1 && strstr(e.msg, "nested"));
	mem_free(elifs);
	mem_free(filters);
	mem_free(sets);
}

static void today(struct test *t)
{
	struct err e = ERR_INIT;
	struct template_output out;
	char before[32], after[32];
	time_t now = time(NULL);

	test_case(t, "strftime_now");
	strftime(before, sizeof(before), "%d %b %Y", localtime(&now));
	if (render("{{ strftime_now('%d %b %Y') }}", NULL, &out, &e) < 0) {
		CHECK_MSG(t, false, "%s", e.msg);
		return;
	}
	now = time(NULL);
	strftime(after, sizeof(after), "%d %b %Y", localtime(&now));
	CHECK_MSG(t, !strcmp(buf_str(&out.text), before) || !strcmp(buf_str(&out.text), after), "%s",
	          buf_str(&out.text));
	template_output_release(&out);
}

/* What Jinja2 made of {{ expression }}, null: a mistake. `may_refuse`: it is refused here; or is the same. */
static void check_golden(struct test *t, const json_t *case_, const json_t *variables, bool may_refuse)
{
	struct err e = ERR_INIT;
	struct template_output out;
	const char *text = json_string_value(json_array_get(case_, 0));
	const json_t *want = json_array_get(case_, 1);
	struct buf source = BUF_INIT;

	buf_addf(&source, "{{ %s }}", text);
	struct template *p = template_parse(buf_str(&source), &e);
	if (!p || template_run(p, variables, &out, &e) < 0) {
		CHECK_MSG(t, may_refuse || json_is_null(want), "{{ %s }}: %s", text, e.msg);
	} else {
		CHECK_MSG(t, json_is_string(want) && json_string_length(want) == out.text.len &&
		                     !memcmp(json_string_value(want), buf_str(&out.text), out.text.len),
		          "{{ %s }}\n  gives %s\n  not   %s", text, buf_str(&out.text),
		          json_is_string(want) ? json_string_value(want) : "a mistake");
		template_output_release(&out);
	}
	template_free(p);
	buf_release(&source);
}

/* A part of what tools/check-builtins compares, with what Jinja2 made of it. What the file lists as refused alone is
 * all that may be. */
static void golden_builtins(struct test *t)
{
	struct buf path = BUF_INIT;
	struct err e = ERR_INIT;
	char *line = NULL;
	size_t cap = 0, cases = 0;
	json_t *variables = NULL;

	test_case(t, "builtins as Jinja's, whatever their arguments");
	buf_addf(&path, "%s/values/builtins.jsonl", test_golden());
	FILE *f = fopen(buf_str(&path), "r");
	for (ssize_t n; f && (n = getline(&line, &cap, f)) > 0;) {
		json_t *j = jsonx_load(line, (size_t)n, "builtins.jsonl", &e);
		const json_t *same = json_object_get(j, "same"), *refused = json_object_get(j, "refused");
		if (!variables)
			variables = json_incref(j);
		for (size_t i = 0; i < json_array_size(same); i++, cases++)
			check_golden(t, json_array_get(same, i), variables, false);
		for (size_t i = 0; i < json_array_size(refused); i++, cases++)
			check_golden(t, json_array_get(refused, i), variables, true);
		json_decref(j);
	}
	CHECK_MSG(t, cases > 1000, "%zu cases in %s", cases, buf_str(&path));
	json_decref(variables);
	buf_release(&path);
	free(line);
	if (f)
		fclose(f);
}

/* Values a hundred times as large as those of the golden file, under the same names. */
static json_t *large_values(void)
{
	json_t *v = json_object(), *list = json_array(), *dict = json_object();
	struct buf text = BUF_INIT;
	char key[16];

	for (int i = 0; i < 800; i++) {
		buf_adds(&text, "a text, of\nsome\twords. ");
		json_array_append_new(list, json_integer(i));
		snprintf(key, sizeof(key), "k%d", i);
		json_object_set_new(dict, key, json_string("a value of some length"));
	}
	for (const char *name = "seuc"; *name; name++)
		json_object_set_new(v, (char[]){ *name, 0 }, json_string(buf_str(&text)));
	for (const char *name = "lmkp"; *name; name++)
		json_object_set(v, (char[]){ *name, 0 }, list);
	json_object_set(v, "d", dict);
	json_object_set(v, "o", dict);
	json_object_set_new(v, "i", json_integer(99999));
	json_object_set_new(v, "z", json_integer(-99999));
	buf_release(&text);
	json_decref(list);
	json_decref(dict);
	return v;
}

/* Every call of the golden file on large values ends in a text or a sentence. */
static void large_receivers(struct test *t)
{
	struct err e = ERR_INIT;
	struct buf path = BUF_INIT, source = BUF_INIT;
	json_t *v = large_values();
	char *line = NULL;
	size_t cap = 0, full = 0, texts = 0;

	buf_addf(&path, "%s/values/builtins.jsonl", test_golden());
	FILE *f = fopen(buf_str(&path), "r");
	for (ssize_t n; f && (n = getline(&line, &cap, f)) > 0;) {
		json_t *j = jsonx_load(line, (size_t)n, "builtins.jsonl", &e);
		const json_t *same = json_object_get(j, "same");
		for (size_t i = 0; i < json_array_size(same); i++) {
			struct template_output out;
			buf_clear(&source);
			buf_addf(&source, "{{ %s }}", json_string_value(json_array_get(json_array_get(same, i), 0)));
			struct template *p = template_parse(buf_str(&source), &e);
			bool done = p && template_run(p, v, &out, &e) == 0;
			texts += done;
			full += !done && strstr(e.msg, "bytes of memory");
			if (done)
				template_output_release(&out);
			template_free(p);
		}
		json_decref(j);
	}
	CHECK_MSG(t, full > 0 && texts > 100, "%zu full, %zu texts", full, texts);
	buf_release(&path);
	buf_release(&source);
	json_decref(v);
	free(line);
	if (f)
		fclose(f);
}

/* No builtin takes more memory than a run may: each of these would take ten times as much. */
static void memory(struct test *t)
{
	static const char *const bombs[] = {
		"{{ ('a' * 60000).split('a') | length }}",
		"{{ ('a ' * 60000).split() | length }}",
		"{{ ('\\n' * 60000).splitlines() | length }}",
		"{{ ('a' * 60000) | list | length }}",
		"{% for c in 'a' * 60000 %}{% endfor %}",
		"{% macro f(n, s) %}{{ s }}{{ f(n + 1, s) if n < 40 }}{% endmacro %}{{ f(0, 'x' * 60000) | length }}",
		"{% set ns = namespace(x=[0]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
		"{{ ('a' * 60000) | replace('a', 'a long text instead of it') | length }}",
		"{{ ('a' * 60000).rjust(9000000) | length }}",
		"{{ ([1] * 9000) | map('string') | join(', and another long one, ') | upper | length }}",
	};
	size_t before = template_memory_max;
	char want[80];

	test_case(t, "memory is bounded, whatever a builtin makes");
	template_memory_max = 512 << 10;
	snprintf(want, sizeof(want), "line 1: the template needs more than %zu bytes of memory", template_memory_max);
	for (size_t i = 0; i < ARRAY_LEN(bombs); i++)
		check_mistake(t, bombs[i], want);
	char *long_one = long_template("", "{{ 1 }}", "");
	check_mistake(t, long_one, "line 1: reading the template needs more than");
	mem_free(long_one);
	template_memory_max = 1 << 20;
	large_receivers(t);
	template_memory_max = before;
}

/* A message may have any number of keys: looking them all up is not quadratic, as minutes of the test would tell. */
static void many_keys(struct test *t)
{
	struct err e = ERR_INIT;
	struct template_output out = { 0 };
	json_t *v = json_object(), *d = json_object();
	char key[32];
	struct template *p = template_parse("{% for k in d %}{% if d[k] != loop.index0 %}x{% endif %}{% endfor %}"
	                                    "{{ dict(d.items()) == d }}{{ d.k59999 }}{{ 'k' in d }}"
	                                    "{% set n = {1: 'a', 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, "
	                                    "'1': 'b', (1, 'x'): 'c'} %}{{ n[true] }}{{ n[1.0] }}{{ n['1'] }}"
	                                    "{{ n[(1.0, 'x')] }}{{ n['2'] is defined }}", &e);

	test_case(t, "dicts of many keys");
	for (int i = 0; i < 60000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		json_object_set_new(d, key, json_integer(i));
	}
	json_object_set_new(v, "d", d);
	CHECK_MSG(t, p && template_run(p, v, &out, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, !strcmp(buf_str(&out.text), "True59999FalseaabcFalse"), "%s", buf_str(&out.text));
	template_output_release(&out);
	template_free(p);
	json_decref(v);
}

void test_template(struct test *t)
{
	test_case(t, "the line end that goes leaves no byte behind, however large a template is");
	for (size_t n = 4080; n < 4200; n++) {
		struct err e = ERR_INIT;
		struct template_output out;
		char *text = mem_printf("%0*d\n", (int)n, 0);
		struct template *large = template_parse(text, &e);
		CHECK(t, large && template_run(large, NULL, &out, &e) == 0 && out.text.len == n);
		template_output_release(&out);
		template_free(large);
		mem_free(text);
	}
	test_case(t, "texts as Jinja's");
	for (size_t i = 0; i < ARRAY_LEN(renderings); i++)
		check_text(t, &renderings[i]);
	test_case(t, "spans of generation");
	check_spans(t);
	test_case(t, "mistakes name the line");
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++)
		check_mistake(t, mistakes[i].template, mistakes[i].want);
	bounds(t);
	long_conversation(t);
	long_chains(t);
	many_keys(t);
	memory(t);
	golden_builtins(t);
	today(t);
}
