/* laws: formulas and where they are from. See laws.h. */
#include "train/laws.h"

#include <math.h>
#include <stddef.h>

const struct law laws[] = {
	{ "size for a budget", "N = sqrt(C/120), D = 20 N", "Hoffmann et al. 2022", "N from 70 M, D from 5 B" },
	{ "worth of repeated text", "U + 15.4 U (1 - exp(-(D/U - 1)/15.4))", "Muennighoff et al. 2023",
	  "N to 9 B, D to 900 B" },
	{ "tokens of a step", "0.58 D^0.571", "Li et al. 2025", "N from 60 M, D from 2 B" },
	{ "learning rate", "1.79 N^-0.713 D^0.307", "Li et al. 2025", "N from 60 M, D from 2 B" },
	{ "tokens of a step by operations", "0.2920 C^0.3271", "Bi et al. 2024", "C from 1e17 to 2e19" },
	{ "learning rate by operations", "0.3118 C^-0.1250", "Bi et al. 2024", "C from 1e17 to 2e19" },
	{ "tokens of a step for more tokens", "B (D/D0)^0.383", "Bergsma et al. 2025", "N from 111 M to 3.3 B" },
	{ "learning rate for another batch", "lr sqrt(B/B0)", "Malladi et al. 2022", "Adam" },
	{ "vocabulary", "0.20 C^0.42 / width", "Tao et al. 2024", "N from 33 M to 3 B" },
	{ 0 },
};

void law_optimal(double flops, double ratio, double *n, double *tokens)
{
	*n = sqrt(flops / (6 * ratio));
	*tokens = ratio * *n;
}

double law_repeated(double unique, double tokens)
{
	const double worn = 15.39;

	return tokens <= unique ? tokens : unique + unique * worn * (1 - exp(-(tokens / unique - 1) / worn));
}

double law_size_of_text(double unique) { return LAW_EPOCHS * unique / LAW_RATIO; }

double law_batch(double tokens) { return 0.58 * pow(tokens, 0.571); }

double law_rate(double n, double tokens) { return 1.79 * pow(n, -0.713) * pow(tokens, 0.307); }

double law_batch_of_flops(double flops) { return 0.2920 * pow(flops, 0.3271); }

double law_rate_of_flops(double flops) { return 0.3118 * pow(flops, -0.1250); }

double law_batch_for(double batch, double tokens_then, double tokens)
{
	return batch * pow(tokens / tokens_then, 0.383);
}

double law_rate_for(double rate, double batch_then, double batch) { return rate * sqrt(batch / batch_then); }

int64_t law_vocabulary(double flops, int width)
{
	double want = 0.20 * pow(flops, 0.42) / width;
	int64_t v = 512;

	while (v < 131072 && (double)v * sqrt(2) < want)
		v *= 2;
	return v;
}
