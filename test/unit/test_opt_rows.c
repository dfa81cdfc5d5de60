/* Options that rows of other tables bring: joined, filled whichever is picked, recorded and shown by who uses them. And
 * that the recipe's tables are fit for it. */
#include "../test.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/opt.h"
#include "train/recipe.h"

/* --- two tables of rows --- */

struct mule { int64_t load; const char *where; struct opt_list stops; };
struct cart { double wheels; const char *where; };

static const struct opt mule_opts[] = {
	OPT_INT("load", struct mule, load, "3", 1, 9, "sacks on its back"),
	OPT_STRING("where", struct mule, where, "hill", "PLACE", "the way it goes"),
	OPT_LIST("stop", struct mule, stops, "PLACE", "rests there"),
	OPT_END
};
static const struct opt cart_opts[] = {
	OPT_STRING("where", struct cart, where, "road", "PLACE", "the way it goes"),
	OPT_FLOAT("wheels", struct cart, wheels, NULL, 1, 8, "how many"),
	OPT_END
};
static const char *const also_cart[] = { "wagon", NULL };

static bool carriers(size_t i, struct opt_row *out)
{
	static const struct opt_row rows[] = {
		{ .name = "mule", .summary = "on feet", .opts = mule_opts, .options_size = sizeof(struct mule) },
		{ .name = "none" },
		{ .name = "cart", .summary = "on wheels", .also = also_cart, .standard = true, .opts = cart_opts,
		  .options_size = sizeof(struct cart), .note = "slow" },
	};
	if (i < ARRAY_LEN(rows))
		*out = rows[i];
	return i < ARRAY_LEN(rows);
}

struct salt { bool dry; };
static const struct opt salt_opts[] = { OPT_FLAG("dry", struct salt, dry, "true", "without water"), OPT_END };

static bool goods(size_t i, struct opt_row *out)
{
	*out = (struct opt_row){ .name = "salt", .opts = salt_opts, .options_size = sizeof(struct salt) };
	return i < 1;
}

struct trip {
	const char *by;
	int64_t days;
	void **carriers, **goods;
};
static const struct opt trip_opts[] = {
	OPT_PICK("by", struct trip, by, carriers, "what carries"),
	OPT_INT("days", struct trip, days, "2", 1, 99, "how long"),
	OPT_ROWS("by", struct trip, carriers, carriers),
	OPT_ROWS(NULL, struct trip, goods, goods),
	OPT_END
};

static const struct mule *mule_of(const struct trip *x) { return opt_row_options(carriers, x->carriers, "mule"); }
static const struct cart *cart_of(const struct trip *x) { return opt_row_options(carriers, x->carriers, "cart"); }
static const struct salt *salt_of(const struct trip *x) { return opt_row_options(goods, x->goods, "salt"); }

static void assign(struct test *t, struct opt_parse *p, const char *name, const char *value)
{
	struct err e = ERR_INIT;
	CHECK_MSG(t, opt_assign(p, name, value, &e) == 0, "%s", e.msg);
}

/* --- what they are tested for --- */

static void defaults(struct test *t)
{
	struct trip x;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "every row's struct has its own defaults; the standard row is picked");
	CHECK(t, opt_begin(&p, trip_opts, &x, &e) == 0 && !strcmp(x.by, "cart") && x.days == 2);
	CHECK(t, mule_of(&x)->load == 3 && !strcmp(mule_of(&x)->where, "hill") && mule_of(&x)->stops.n == 0);
	CHECK(t, !strcmp(cart_of(&x)->where, "road") && isnan(cart_of(&x)->wheels) && salt_of(&x)->dry);
	CHECK(t, !opt_row_options(carriers, x.carriers, "none"));
	opt_release(&p);
}

static const struct opt other_trip_opts[] = {
	OPT_PICK("by", struct trip, by, carriers, "what carries"),
	OPT_INT("days", struct trip, days, "2", 1, 99, "how long"),
	OPT_ROWS("by", struct trip, carriers, carriers),
	OPT_DEFAULT("by", "mule"),
	OPT_DEFAULT("days", "9"),
	OPT_DEFAULT("where", "sea"),
	OPT_END
};

static void other_defaults(struct test *t)
{
	struct trip x;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "a table with other defaults: of its own options and of those that rows bring");
	CHECK(t, opt_begin(&p, other_trip_opts, &x, &e) == 0 && !strcmp(x.by, "mule") && x.days == 9);
	CHECK(t, !strcmp(mule_of(&x)->where, "sea") && !strcmp(cart_of(&x)->where, "sea") && mule_of(&x)->load == 3);
	assign(t, &p, "days", "4");
	CHECK(t, x.days == 4 && opt_given(&p, "days") && !opt_given(&p, "where"));
	opt_release(&p);
}

static void values(struct test *t)
{
	struct trip x;
	struct opt_parse p;
	struct err e = ERR_INIT;
	char *argv[] = { "--by",   "wagon",      "--where",  "ford",   "--load",
		         "4",      "--stop=inn", "--no-dry", "--stop", "mill" };
	test_case(t, "a value reaches every row that has the option; a row is found by what else means it");
	opt_begin(&p, trip_opts, &x, &e);
	CHECK_MSG(t, opt_args(&p, ARRAY_LEN(argv), argv, &e) == 0, "%s", e.msg);
	CHECK(t, !strcmp(x.by, "cart") && !strcmp(cart_of(&x)->where, "ford") && !strcmp(mule_of(&x)->where, "ford"));
	CHECK(t, mule_of(&x)->load == 4 && mule_of(&x)->stops.n == 2 && !salt_of(&x)->dry);
	CHECK(t, !strcmp(mule_of(&x)->stops.items[1], "mill") && opt_given(&p, "where") && !opt_given(&p, "wheels"));
	CHECK(t, opt_assign(&p, "by", "Mule", &e) == 0 && !strcmp(x.by, "mule"));
	CHECK(t, opt_assign(&p, "by", "none|cart", &e) == -1 && opt_assign(&p, "by", "cart", &e) == 0);
	CHECK(t, opt_assign(&p, "by", "sled", &e) == -1 && !strcmp(e.msg, "by sled: mule, none or cart was wanted"));
	CHECK(t, opt_assign(&p, "load", "10", &e) == -1 && strstr(e.msg, "between 1 and 9"));
	CHECK(t, opt_assign(&p, "loads", "1", &e) == -1 && strstr(e.msg, "did you mean load?"));
	CHECK(t, opt_find(trip_opts, "wheels") == &cart_opts[1] && !opt_find(trip_opts, "sled"));
	opt_release(&p);
}

static void unused(struct test *t)
{
	static const struct { const char *by, *says; } cases[] = {
		{ "cart", "--by cart does not use --load, --stop (mule does)" },
		{ "mule", "--by mule does not use --wheels (cart does)" },
		{ "none", "--by none does not use --load, --stop (mule does), --where (mule, cart do), --wheels "
		          "(cart does)" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trip x;
		struct opt_parse p;
		struct err e = ERR_INIT;
		struct buf said = BUF_INIT;
		test_case(t, "given and not used: %s", cases[i].by);
		opt_begin(&p, trip_opts, &x, &e);
		assign(t, &p, "by", cases[i].by);
		opt_unused(&p, &said);
		CHECK_MSG(t, said.len == 0, "%s", buf_str(&said));
		assign(t, &p, "load", "1");
		assign(t, &p, "stop", "inn");
		assign(t, &p, "where", "ford");
		assign(t, &p, "wheels", "4");
		assign(t, &p, "dry", "no");
		opt_unused(&p, &said);
		CHECK_MSG(t, !strcmp(buf_str(&said), cases[i].says), "%s", buf_str(&said));
		buf_release(&said);
		opt_release(&p);
	}
}

static void records(struct test *t)
{
	struct trip x, again;
	struct opt_parse p, q;
	struct err e = ERR_INIT;
	static const char text[] = "by: mule\nwhere: ford\nstop: [inn, mill]\nload: 7\n";
	test_case(t, "a record holds what is in use alone, and reads back");
	opt_begin(&p, trip_opts, &x, &e);
	CHECK_MSG(t, opt_yaml_text(&p, text, strlen(text), "trip.yaml", &e) == 0, "%s", e.msg);
	json_t *record = opt_record(&p), *same = opt_record_of(trip_opts, &x),
	       *wanted = json_pack("{s:s, s:i, s:i, s:s, s:[s, s], s:b}", "by", "mule", "days", 2, "load", 7, "where",
	                           "ford", "stop", "inn", "mill", "dry", 1);
	char *line = jsonx_line(record);
	CHECK_MSG(t, json_equal(record, wanted) && json_equal(same, record), "%s", line);
	opt_begin(&q, trip_opts, &again, &e);
	CHECK_MSG(t, opt_json(&q, record, &e) == 0, "%s", e.msg);
	CHECK(t, mule_of(&again)->load == 7 && mule_of(&again)->stops.n == 2 && !strcmp(again.by, "mule"));
	opt_release(&p);
	opt_release(&q);
	json_decref(record);
	json_decref(same);
	json_decref(wanted);
	mem_free(line);
}

static void help_line(void *ctx, const char *line) { buf_addf(ctx, "%s\n", line); }

static void help(struct test *t)
{
	static const char wanted[] =
		"  --by NAME                 what carries: mule, on feet; none; cart, on wheels\n"
		"                            (slow) (default: cart)\n"
		"  --days N                  how long (default: 2)\n"
		"\n"
		"--by mule:\n"
		"  --load N                  sacks on its back (default: 3)\n"
		"  --stop PLACE              rests there (may be repeated)\n"
		"\n"
		"--by mule, cart:\n"
		"  --where PLACE             the way it goes (cart: road) (default: hill)\n"
		"\n"
		"--by cart:\n"
		"  --wheels X                how many\n"
		"  --dry                     without water (default; --no-dry turns it off)\n";
	struct buf b = BUF_INIT;
	test_case(t, "--help: each option once, in a group for those who use it");
	opt_help(trip_opts, help_line, &b);
	CHECK_MSG(t, !strcmp(buf_str(&b), wanted), "%s", buf_str(&b));
	buf_release(&b);
}

/* --- the recipe's --- */

static void check_table(struct test *t, opt_rows *rows, const char *what)
{
	struct opt_row row, other;
	int standard = 0;
	test_case(t, "%s: names, summaries, one standard row", what);
	for (size_t i = 0; rows(i, &row); i++) {
		standard += row.standard;
		CHECK_MSG(t, row.summary && strlen(row.summary) < 70, "%s", row.name);
		CHECK_MSG(t, !row.opts == !row.options_size, "%s", row.name);
		for (const char *const *also = row.also; also && *also; also++)
			CHECK_MSG(t, opt_row_find(rows, *also, &other, NULL) && !strcmp(other.name, row.name), "%s",
			          *also);
		size_t at;
		CHECK_MSG(t, opt_row_find(rows, row.name, &other, &at) && at == i, "%s", row.name);
	}
	CHECK_MSG(t, standard == 1, "%d", standard);
}

/* For every method, objective and optimizer: the recipe reads back, and is compared without what others use. */
static void check_recipes(struct test *t, const char *pick, opt_rows *rows)
{
	struct opt_row row;
	test_case(t, "--%s: a recipe reads back and is the same", pick);
	for (size_t i = 0; rows(i, &row); i++) {
		struct recipe r, again;
		struct opt_parse p, q;
		struct err e = ERR_INIT;
		opt_begin(&p, recipe_opts, &r, &e);
		assign(t, &p, pick, row.name);
		json_t *record = recipe_record(&r);
		CHECK_MSG(t, recipe_load(&again, &q, record, &e) == 0, "%s: %s", row.name, e.msg);
		json_t *second = recipe_record(&again);
		CHECK_MSG(t, json_equal(record, second) && recipe_same_result(record, second, &e) == 0, "%s: %s",
		          row.name, e.msg);
		opt_release(&p);
		opt_release(&q);
		json_decref(record);
		json_decref(second);
	}
}

static void check_same(struct test *t)
{
	struct recipe r;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "a record from before an option existed means its default");
	opt_begin(&p, recipe_opts, &r, &e);
	json_t *now = recipe_record(&r), *before = json_copy(now);
	CHECK(t, json_object_del(before, "lora_r") == 0 && json_object_del(before, "optim") == 0);
	CHECK_MSG(t, recipe_same_result(before, now, &e) == 0, "%s", e.msg);
	json_object_set_new(now, "lora_r", json_integer(9));
	CHECK(t, recipe_same_result(before, now, &e) == -1 && strstr(e.msg, "another --lora-r"));
	json_object_set_new(before, "no_such", json_integer(9));
	CHECK(t, recipe_same_result(before, now, &e) == -1 && strstr(e.msg, "unknown option no_such"));
	json_decref(now);
	json_decref(before);
	opt_release(&p);
}

void test_opt_rows(struct test *t);
void test_opt_rows(struct test *t)
{
	static const struct { const char *pick; opt_rows *rows; } tables[] = {
		{ "method", method_rows }, { "objective", objective_rows }, { "optim", optimizer_rows },
	};
	defaults(t);
	other_defaults(t);
	values(t);
	unused(t);
	records(t);
	help(t);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		check_table(t, tables[i].rows, tables[i].pick);
		check_recipes(t, tables[i].pick, tables[i].rows);
	}
	check_same(t);
}
