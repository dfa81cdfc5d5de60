/* test_optim: AdamW, the norm and the schedules against numbers of torch and transformers
 * (tools/golden/optim_numbers.py). */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/optim.h"
#include "train/schedule.h"

static const double step_1[] = { -0.497900009, 0.126975, -0.376925021, 0.247950003, -0.249950007, 0.376925021,
	-0.501999974, 0.123000003, -0.372999996, 0.805256188 };
static const double step_10[] = { -0.495628268, 0.160507828, -0.381965429, 0.231722087, -0.274183303, 0.38782382,
	-0.511559844, 0.134202331, -0.351861358, 0.974278569 };
static const double moments[] = { -0.0077170399, -0.0115807727, 0.00596445473, -0.00976970885, 0.0146927461,
	0.010829011, 0.00958436076, 0.0126072867, 0.0130644329, 0.0114011252, 0.00978017692, 0.0119802132 };
static const double linear[] = { 0, 0.25, 0.5, 0.75, 1, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625, 0.5,
	0.4375, 0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625 };
static const double linear_cold[] = { 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3,
	0.25, 0.2, 0.15, 0.1, 0.05 };
static const double cosine[] = { 0, 0.25, 0.5, 0.75, 1, 0.99039264, 0.961939766, 0.915734806, 0.853553391,
	0.777785117, 0.691341716, 0.597545161, 0.5, 0.402454839, 0.308658284, 0.222214883, 0.146446609, 0.0842651938,
	0.0380602337, 0.0096073598 };
static const double cosine_floor[] = { 0, 0.25, 0.5, 0.75, 1, 0.991353376, 0.96574579, 0.924161326, 0.868198052,
	0.800006605, 0.722207545, 0.637790645, 0.55, 0.462209355, 0.377792455, 0.299993395, 0.231801948, 0.175838674,
	0.13425421, 0.108646624 };
static const double constant[] = { 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
static const double wsd[] = { 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.904508497, 0.654508497,
	0.345491503, 0.0954915028 };
static const double wsd_floor[] = { 0.1, 0.325, 0.55, 0.775, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.914057647,
	0.689057647, 0.410942353, 0.185942353 };

/* As transformers has them, to the last digit. */
static const double inverse_sqrt[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 0.8944271909999159, 0.8164965809277261,
	0.7559289460184544, 0.7071067811865475, 0.6666666666666666, 0.6324555320336759, 0.6030226891555273,
	0.5773502691896258, 0.5547001962252291, 0.5345224838248488, 0.5163977794943222, 0.5, 0.48507125007266594,
	0.47140452079103173, 0.4588314677411235 };
static const double inverse_sqrt_slow[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 0.9486832980505138, 0.9045340337332908,
	0.8660254037844387, 0.8320502943378437, 0.8017837257372732, 0.7745966692414834, 0.75, 0.7276068751089989,
	0.7071067811865475, 0.6882472016116853, 0.6708203932499369, 0.6546536707079771, 0.6396021490668312,
	0.6255432421712243, 0.6123724356957945 };
static const double inverse_sqrt_cold[] = { 1.0, 0.9999500037496877, 0.9999000149975006, 0.9998500337415648,
	0.9998000599800071, 0.9997500937109545, 0.9997001349325354, 0.9996501836428782, 0.9996002398401119,
	0.9995503035223668, 0.9995003746877732, 0.9994504533344625, 0.9994005394605663, 0.9993506330642176,
	0.999300734143549, 0.999250842696695, 0.9992009587217893, 0.9991510822169677, 0.9991012131803658,
	0.9990513516101199 };
static const double polynomial[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 0.891015625, 0.7890625, 0.694140625, 0.60625,
	0.525390625, 0.4515625, 0.384765625, 0.325, 0.272265625, 0.2265625, 0.187890625, 0.15625, 0.131640625,
	0.11406250000000001, 0.103515625 };
static const double wsd_linear[] = { 0.1, 0.325, 0.55, 0.775, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
	1.0, 1.0, 0.8200000000000001, 0.64, 0.4600000000000001, 0.27999999999999997 };
static const double wsd_root[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
	1.0, 0.5527864045000421, 0.3675444679663241, 0.2254033307585166, 0.10557280900008414 };
static const double wsd_long[] = { 0.1, 0.325, 0.55, 0.775, 1.0, 0.9913533761814537, 0.9657457896300791,
	0.9241613255361454, 0.8681980515339464, 0.800006604858821, 0.7222075445642904, 0.6377906449072578, 0.55,
	0.4622093550927423, 0.3777924554357096, 0.2999933951411791, 0.23180194846605365, 0.1758386744638546,
	0.13425421036992097, 0.10864662381854631 };
static const double min_lr[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 0.9913533761814537, 0.9657457896300791,
	0.9241613255361454, 0.8681980515339464, 0.800006604858821, 0.7222075445642904, 0.6377906449072578, 0.55,
	0.4622093550927423, 0.3777924554357096, 0.2999933951411791, 0.23180194846605365, 0.1758386744638546,
	0.13425421036992097, 0.10864662381854631 };
static const double warm_constant[] = { 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
	1.0, 1.0, 1.0, 1.0, 1.0, 1.0 };

static void fill_weights(float *w, int n)
{
	for (int i = 0; i < n; i++)
		w[i] = (float)((i * 5) % 9 - 4) / 8;
}

static void fill_gradient(float *g, int n, int t)
{
	for (int i = 0; i < n; i++)
		g[i] = (float)((t * 7 + i * 13) % 17 - 8) / 16;
}

static double off_by(const float *x, const double *want, size_t n)
{
	double off = 0;
	for (size_t i = 0; i < n; i++)
		off = fmax(off, fabs(x[i] - want[i]));
	return off;
}

/* Two parameters, the first a matrix, which decays; ten steps with a rising rate, clipped to a norm of 0.5. */
static void test_adamw(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct param items[2] = { { .n_dims = 2, .dim = { 2, 3 }, .n = 6, .offset = 0 },
		                  { .n_dims = 1, .dim = { 3 }, .n = 3, .offset = 16, .role = PARAM_VECTOR } };
	float w[32] = { 0 }, g[32] = { 0 };
	struct params params = { .items = items, .n_items = 2, .n = 32, .w = w };
	struct adamw_options adamw = { .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8 };
	struct optim_settings s = { .weight_decay = 0.1, .options = &adamw };
	struct err e = ERR_INIT;
	struct optim o;

	optim_init(&o, optimizer_find(NULL), &s, &params, k, pool);
	fill_weights(w, 6);
	fill_weights(w + 16, 3);
	test_case(t, "%s: AdamW as torch", k->name);
	CHECK(t, optim_partials(&params) == 2 && optim_slots(&o) == 4);
	CHECK_MSG(t, optim_start(&o, &e) == 0, "%s", e.msg);
	for (int step = 1; step <= 10; step++) {
		fill_gradient(g, 6, step);
		fill_gradient(g + 16, 3, step + 1);
		double norm = optim_clip(&o, g, 1, 0.5);
		optim_step(&o, g, 0.02 * step / 10, step);
		if (step != 1 && step != 10)
			continue;
		const double *want = step == 1 ? step_1 : step_10;
		CHECK_MSG(t, off_by(w, want, 6) < 2e-7 && off_by(w + 16, want + 6, 3) < 2e-7, "step %d: %g, %g", step,
		          off_by(w, want, 6), off_by(w + 16, want + 6, 3));
		CHECK_MSG(t, fabs(norm - want[9]) < 1e-6, "norm %.9g", norm);
	}
	CHECK(t, off_by(optim_data(&o, 0), moments, 6) < 1e-8 && off_by(optim_data(&o, 1), moments + 6, 6) < 1e-8);
	CHECK(t, w[7] == 0 && w[20] == 0);
	optim_release(&o);
}

enum { MANY = 200000, FEW = 77 };

/* What the update does in parallel is test_optimizers' affair. */
static void test_norm(struct test *t, const struct kernels *k)
{
	static const int threads[] = { 1, 2, 3, 7 };
	struct param items[2] = { { .n = MANY, .offset = 0 }, { .n = FEW, .offset = MANY } };
	size_t n = MANY + FEW;
	float *g = mem_array(n, sizeof(*g)), *w = mem_array(n, sizeof(*w));
	struct params params = { .items = items, .n_items = 2, .n = n, .w = w };
	double *partials = mem_array(optim_partials(&params), sizeof(*partials)), exact = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		g[i] = sinf((float)i);
		exact += (double)g[i] * g[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct pool *pool = pool_new(threads[i]);
		double now = optim_norm(k, pool, &params, g, 0.25, partials);
		norm = i ? norm : now;
		test_case(t, "%s: the norm of %d numbers, %d threads", k->name, (int)n, threads[i]);
		CHECK_MSG(t, fabs(now / (0.25 * sqrt(exact)) - 1) < 1e-6, "norm %.9g", now);
		CHECK(t, now == norm);
		pool_free(pool);
	}
	mem_free(g);
	mem_free(w);
	mem_free(partials);
}

static void test_schedules(struct test *t)
{
	const struct { const char *name; struct schedule s; const double *want; } cases[] = {
		{ "linear", { "linear", 20, 4, 0, 0 }, linear },
		{ "linear, no warm-up", { "linear", 20, 0, 0, 0 }, linear_cold },
		{ "cosine", { "cosine", 20, 4, 0, 0 }, cosine },
		{ "cosine with a floor", { "cosine", 20, 4, 0, 0.1 }, cosine_floor },
		{ "constant", { "constant", 20, 4, 0, 0 }, constant },
		{ "wsd", { "wsd", 20, 4, 5, 0 }, wsd },
		{ "wsd with a floor", { "wsd", 20, 4, 5, 0.1 }, wsd_floor },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		test_case(t, "schedule %s", cases[i].name);
		for (long step = 0; step < 20; step++) {
			double f = schedule_factor(&cases[i].s, step);
			CHECK_MSG(t, fabs(f - cases[i].want[step]) < 1e-8, "step %ld: %.9g", step, f);
		}
	}
}

static void test_exactly(struct test *t)
{
	const struct { const char *name; struct schedule s; const double *want; } cases[] = {
		{ "inverse_sqrt", { "inverse_sqrt", 20, 4, 0, 0 }, inverse_sqrt },
		{ "inverse_sqrt of a timescale", { "inverse_sqrt", 20, 4, 0, 0, .timescale = 9 }, inverse_sqrt_slow },
		{ "inverse_sqrt, no warm-up", { "inverse_sqrt", 20, 0, 0, 0 }, inverse_sqrt_cold },
		{ "polynomial", { "polynomial", 20, 4, 0, 0.1, .power = 2 }, polynomial },
		{ "wsd, linear", { "wsd", 20, 4, 5, 0.1, .decay = "linear" }, wsd_linear },
		{ "wsd, 1-sqrt", { "warmup_stable_decay", 20, 4, 5, 0, .decay = "1-sqrt" }, wsd_root },
		{ "wsd that falls at once", { "warmup_stable_decay", 20, 4, 16, 0.1, .decay = "cosine" }, wsd_long },
		{ "cosine_with_min_lr", { "cosine_with_min_lr", 20, 4, 0, 0.1 }, min_lr },
		{ "constant_with_warmup", { "constant_with_warmup", 20, 4, 0, 0 }, warm_constant },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		test_case(t, "schedule %s, exactly", cases[i].name);
		for (long step = 0; step < 20; step++) {
			double f = schedule_factor(&cases[i].s, step);
			CHECK_MSG(t, fabs(f - cases[i].want[step]) <= 1e-15, "step %ld: %.17g", step, f);
		}
	}
}

void test_optim(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	struct pool *pool = pool_new(2);
	size_t n = kernels_all(all);

	for (size_t i = 0; i < n; i++) {
		test_adamw(t, all[i], pool);
		test_norm(t, all[i]);
	}
	test_schedules(t);
	test_exactly(t);
	pool_free(pool);
}
