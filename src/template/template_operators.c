/* template_operators: operators of two operands: arithmetic as Python's (division rounds down, whole numbers never
 * wrap: past 64 bits they are a mistake), texts and lists, comparisons. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "template/template_run.h"

static struct value wrong_operands(struct run_state *r, const char *op, struct value a, struct value b)
{
	if (a.type == V_UNDEFINED || b.type == V_UNDEFINED)
		return run_undefined(r, a.type == V_UNDEFINED ? a : b);
	return run_fail(r, "%s between %s and %s is not possible", op, v_type_name(a), v_type_name(b));
}

static struct value join_text(struct run_state *r, struct value a, struct value b)
{
	struct buf out = RUN_TEXT(r);

	run_print(r, &out, a);
	run_print(r, &out, b);
	return run_take(r, &out);
}

static struct value add(struct run_state *r, struct value a, struct value b)
{
	if (a.type == V_STRING && b.type == V_STRING) {
		bool safe = a.safe || b.safe;
		struct value text = safe ? join_text(r, run_escaped(r, a), run_escaped(r, b)) : join_text(r, a, b);
		text.safe = safe;
		return text;
	}
	if (!v_is_plain(a) || !v_is_plain(b) || a.type != b.type)
		return wrong_operands(r, "+", a, b);
	struct value list = v_list(&r->mem, a.type, a.list->n + b.list->n);
	for (size_t i = 0; i < a.list->n; i++)
		v_push(&r->mem, list, a.list->items[i]);
	for (size_t i = 0; i < b.list->n; i++)
		v_push(&r->mem, list, b.list->items[i]);
	return list;
}

static struct value repeat(struct run_state *r, struct value a, int64_t times)
{
	struct value list = v_is_list(a) ? v_list(&r->mem, a.type, 8) : NONE;
	struct buf out = RUN_TEXT(r);

	for (int64_t i = 0; i < times && run_steps(r, 1) && !out.overflow; i++) {
		if (a.type == V_STRING)
			buf_add(&out, a.str.s, a.str.n);
		for (size_t k = 0; v_is_list(a) && k < a.list->n && run_steps(r, 1); k++)
			v_push(&r->mem, list, a.list->items[k]);
	}
	return a.type == V_STRING ? run_take(r, &out) : list;
}

static struct value real_power(struct run_state *r, double a, double b)
{
	double result = pow(a, b);

	if (isfinite(a) && isfinite(b) && !isfinite(result))
		return run_fail(r, "%g ** %g is no number", a, b);
	return v_float(result);
}

static struct value real_operation(struct run_state *r, const char *op, double a, double b)
{
	if (!strcmp(op, "+"))
		return v_float(a + b);
	if (!strcmp(op, "-"))
		return v_float(a - b);
	if (!strcmp(op, "*"))
		return v_float(a * b);
	if (!strcmp(op, "**"))
		return real_power(r, a, b);
	if (b == 0)
		return run_fail(r, "division by zero");
	if (!strcmp(op, "/"))
		return v_float(a / b);
	double rest = fmod(a, b);
	rest += rest != 0 && (rest < 0) != (b < 0) ? b : 0;
	return v_float(!strcmp(op, "%") ? rest : round((a - rest) / b));
}

static struct value whole_power(struct run_state *r, int64_t a, int64_t b)
{
	int64_t result = 1;

	if (b < 0)
		return real_power(r, (double)a, (double)b);
	for (; b > 0 && run_steps(r, 1); b--)
		if (__builtin_mul_overflow(result, a, &result))
			return run_fail(r, "a whole number grows too large");
	return v_int(result);
}

/* Rounds down, as Python's // and % do. */
static struct value whole_division(struct run_state *r, const char *op, int64_t a, int64_t b)
{
	if (b == 0 || (a == INT64_MIN && b == -1))
		return run_fail(r, b ? "a whole number grows too large" : "division by zero");
	int64_t q = a / b, rest = a % b;
	bool down = rest != 0 && (rest < 0) != (b < 0);
	return v_int(!strcmp(op, "//") ? q - down : rest + (down ? b : 0));
}

static struct value whole_operation(struct run_state *r, const char *op, int64_t a, int64_t b)
{
	int64_t result = 0;
	bool over = false;

	if (!strcmp(op, "**"))
		return whole_power(r, a, b);
	if (!strcmp(op, "/"))
		return real_operation(r, op, (double)a, (double)b);
	if (!strcmp(op, "//") || !strcmp(op, "%"))
		return whole_division(r, op, a, b);
	if (*op == '+')
		over = __builtin_add_overflow(a, b, &result);
	else if (*op == '-')
		over = __builtin_sub_overflow(a, b, &result);
	else
		over = __builtin_mul_overflow(a, b, &result);
	return over ? run_fail(r, "a whole number grows too large") : v_int(result);
}

static int64_t whole(struct value v) { return v.type == V_INT ? v.i : v.b; }

struct value run_binary(struct run_state *r, const char *op, struct value a, struct value b)
{
	if (!strcmp(op, "~"))
		return join_text(r, a, b);
	if (v_is_number(a) && v_is_number(b))
		return a.type == V_FLOAT || b.type == V_FLOAT ? real_operation(r, op, v_number(a), v_number(b)) :
		                                                whole_operation(r, op, whole(a), whole(b));
	if (!strcmp(op, "+"))
		return add(r, a, b);
	if (!strcmp(op, "*") && (a.type == V_STRING || v_is_plain(a)) && (b.type == V_INT || b.type == V_BOOL))
		return repeat(r, a, whole(b));
	if (!strcmp(op, "*") && (b.type == V_STRING || v_is_plain(b)) && (a.type == V_INT || a.type == V_BOOL))
		return repeat(r, b, whole(a));
	if (!strcmp(op, "%") && a.type == V_STRING)
		return run_filter(&(struct call){ .r = r,
		                                  .args = b.type == V_TUPLE ? b.list->items : &b,
		                                  .n = b.type == V_TUPLE ? b.list->n : 1 },
		                  "format", a, 0);
	return wrong_operands(r, op, a, b);
}

bool run_holds(struct run_state *r, const char *op, struct value a, struct value b)
{
	bool found = false;
	int order = 0;
	struct err why = ERR_INIT;

	if (!run_charge(r, a, b))
		return false;
	if (!strcmp(op, "=="))
		return v_equal(a, b);
	if (!strcmp(op, "!="))
		return !v_equal(a, b);
	if (!strcmp(op, "in") || !strcmp(op, "not in")) {
		if ((b.type == V_DICT || (b.type == V_LIST && b.list->kind == LIST_KEYS)) && !v_hashable(a))
			run_fail(r, "a %s cannot be a key", v_type_name(a));
		else if (!v_contains(b, a, &found))
			run_fail(r, "%s cannot be looked into for %s", v_type_name(b), v_type_name(a));
		return found == (*op == 'i');
	}
	if (a.type == V_UNDEFINED || b.type == V_UNDEFINED)
		run_undefined(r, a.type == V_UNDEFINED ? a : b);
	else if (v_order(a, b, &order, &why) < 0)
		run_fail(r, "%s", why.msg);
	return op[1] == '=' && order == 0 ? true : *op == '<' ? order < 0 : order > 0;
}
