/* checks: each reads the digits (or letters) of what was matched and leaves blanks, dots and dashes out.
 *
 * Sources: Luhn, ISO/IEC 7812-1; IBAN, ISO 13616 (mod 97 of ISO 7064); SSN and ITIN, Social Security Administration
 * and IRS ranges; NHS number, NHS data dictionary (mod 11); NPI, 45 CFR 162 (Luhn with 80840); ABA routing numbers,
 * weights 3 7 1; DEA numbers; NIF and NIE, Spanish interior ministry (mod 23); codice fiscale and partita IVA,
 * Agenzia delle Entrate; PESEL, weights 1 3 7 9; BSN, the "elfproef"; CPF, mod 11 twice; NIR, key of 97; ABN, ACN,
 * TFN and Medicare, Australian Taxation Office and Medicare; Aadhaar, Verhoeff's dihedral code; NRIC, Singapore;
 * henkilötunnus, mod 31; RRN, Korea; Steuer-Identifikationsnummer, ISO 7064 mod 11,10; Thai id, mod 11; Bitcoin's
 * Base58Check; GitHub's and npm's tokens, CRC-32 of the secret in base 62. Numbers whose issuer has no check digit
 * have none here: their rules want a word nearby. */
#include "guard/checks.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/sha.h"

enum { MOST = 64 };

/* The digits of it; their number, 0 where there are too many. */
static size_t digits(const char *s, size_t n, int d[MOST])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (s[i] >= '0' && s[i] <= '9') {
			if (k == MOST)
				return 0;
			d[k++] = s[i] - '0';
		}
	return k;
}

/* Letters, capital, and digits. */
static size_t signs_of(const char *s, size_t n, char out[MOST + 1])
{
	size_t k = 0;

	for (size_t i = 0; i < n && k < MOST; i++)
		if (isalnum((unsigned char)s[i]))
			out[k++] = (char)toupper((unsigned char)s[i]);
	out[k] = 0;
	return k;
}

static int weighted(const int *d, const int *w, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += d[i] * w[i];
	return sum;
}

static bool all_same(const int *d, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (d[i] != d[0])
			return false;
	return true;
}

static int luhn_sum(const int *d, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++) {
		int x = d[n - 1 - i];
		sum += i % 2 ? 2 * x - (x > 4 ? 9 : 0) : x;
	}
	return sum;
}

static bool luhn(const char *s, size_t n)
{
	int d[MOST];
	size_t k = digits(s, n, d);

	return k >= 12 && k <= 19 && !all_same(d, k) && luhn_sum(d, k) % 10 == 0;
}

static bool npi(const char *s, size_t n)
{
	int d[MOST];

	return digits(s, n, d) == 10 && (luhn_sum(d, 10) + 24) % 10 == 0;
}

/* Letters are two digits each. */
static int mod_97(const char *s, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		int v = isdigit((unsigned char)s[i]) ? s[i] - '0' : s[i] - 'A' + 10;
		r = (v > 9 ? r * 100 + v : r * 10 + v) % 97;
	}
	return r;
}

static bool iban(const char *s, size_t n)
{
	char c[MOST + 1], turned[MOST + 1];
	size_t k = signs_of(s, n, c);

	if (k < 15 || k > 34)
		return false;
	memcpy(turned, c + 4, k - 4);
	memcpy(turned + k - 4, c, 4);
	return mod_97(turned, k) == 1;
}

static bool ssn(const char *s, size_t n)
{
	int d[MOST];

	if (digits(s, n, d) != 9)
		return false;
	int area = d[0] * 100 + d[1] * 10 + d[2];
	return area && area != 666 && area < 900 && d[3] + d[4] && d[5] + d[6] + d[7] + d[8] && !all_same(d, 9) &&
	       !(area == 78 && d[3] == 0 && d[4] == 5); /* the one of an advertisement */
}

static bool mod_11(const char *s, size_t n)
{
	static const int w[] = { 10, 9, 8, 7, 6, 5, 4, 3, 2 };
	int d[MOST];

	if (digits(s, n, d) != 10 || all_same(d, 10))
		return false;
	int check = (11 - weighted(d, w, 9) % 11) % 11;
	return check < 10 && check == d[9];
}

static bool aba(const char *s, size_t n)
{
	static const int w[] = { 3, 7, 1, 3, 7, 1, 3, 7, 1 };
	int d[MOST];

	return digits(s, n, d) == 9 && !all_same(d, 9) && weighted(d, w, 9) % 10 == 0;
}

static bool dea(const char *s, size_t n)
{
	int d[MOST];

	return digits(s, n, d) == 7 && (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6];
}

static bool nif(const char *s, size_t n)
{
	char c[MOST + 1];
	size_t k = signs_of(s, n, c);

	if (k < 8)
		return false;
	if (c[0] >= 'X' && c[0] <= 'Z')
		c[0] = (char)('0' + c[0] - 'X');
	char last = c[k - 1];
	c[k - 1] = 0;
	return last == "TRWAGMYFPDXBNJZSQVHLCKE"[strtoul(c, NULL, 10) % 23];
}

static bool codice_fiscale(const char *s, size_t n)
{
	static const int odd[] = { 1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
		                   20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23 };
	char c[MOST + 1];
	int sum = 0;

	if (signs_of(s, n, c) != 16)
		return false;
	for (int i = 0; i < 15; i++) {
		int v = isdigit((unsigned char)c[i]) ? c[i] - '0' : c[i] - 'A';
		sum += i % 2 ? v : odd[v];
	}
	return c[15] == 'A' + sum % 26;
}

static bool vat_it(const char *s, size_t n)
{
	int d[MOST];

	return digits(s, n, d) == 11 && !all_same(d, 11) && luhn_sum(d, 11) % 10 == 0;
}

static bool pesel(const char *s, size_t n)
{
	static const int w[] = { 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1 };
	int d[MOST];

	return digits(s, n, d) == 11 && (d[2] * 10 + d[3]) % 20 >= 1 && (d[2] * 10 + d[3]) % 20 <= 12 &&
	       weighted(d, w, 11) % 10 == 0;
}

static bool bsn(const char *s, size_t n)
{
	static const int w[] = { 9, 8, 7, 6, 5, 4, 3, 2, -1 };
	int d[MOST];

	return digits(s, n, d) == 9 && !all_same(d, 9) && weighted(d, w, 9) % 11 == 0;
}

static bool cpf(const char *s, size_t n)
{
	int d[MOST];

	if (digits(s, n, d) != 11 || all_same(d, 11))
		return false;
	for (size_t k = 9; k < 11; k++) {
		int sum = 0;
		for (size_t i = 0; i < k; i++)
			sum += d[i] * (int)(k + 1 - i);
		if (sum * 10 % 11 % 10 != d[k])
			return false;
	}
	return true;
}

static bool nir(const char *s, size_t n)
{
	int d[MOST];
	uint64_t x = 0;

	if (digits(s, n, d) != 15)
		return false;
	for (int i = 0; i < 13; i++)
		x = x * 10 + (uint64_t)d[i];
	return d[2] * 10 + d[3] >= 1 && 97 - x % 97 == (uint64_t)(d[13] * 10 + d[14]);
}

static bool abn(const char *s, size_t n)
{
	static const int w[] = { 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 };
	int d[MOST];

	if (digits(s, n, d) != 11 || !d[0])
		return false;
	d[0]--;
	return weighted(d, w, 11) % 89 == 0;
}

static bool acn(const char *s, size_t n)
{
	static const int w[] = { 8, 7, 6, 5, 4, 3, 2, 1 };
	int d[MOST];

	return digits(s, n, d) == 9 && !all_same(d, 9) && (10 - weighted(d, w, 8) % 10) % 10 == d[8];
}

static bool tfn(const char *s, size_t n)
{
	static const int w[] = { 1, 4, 3, 7, 5, 8, 6, 9, 10 };
	int d[MOST];

	return digits(s, n, d) == 9 && !all_same(d, 9) && weighted(d, w, 9) % 11 == 0;
}

static bool medicare_au(const char *s, size_t n)
{
	static const int w[] = { 1, 3, 7, 9, 1, 3, 7, 9 };
	int d[MOST];
	size_t k = digits(s, n, d);

	return (k == 10 || k == 11) && d[0] >= 2 && d[0] <= 6 && weighted(d, w, 8) % 10 == d[8];
}

static bool verhoeff(const char *s, size_t n)
{
	static const int p[8][10] = {
		{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { 1, 5, 7, 6, 2, 8, 3, 0, 9, 4 }, { 5, 8, 0, 3, 7, 9, 6, 1, 4, 2 },
		{ 8, 9, 1, 6, 0, 4, 3, 5, 2, 7 }, { 9, 4, 5, 3, 1, 2, 6, 8, 7, 0 }, { 4, 2, 8, 6, 5, 7, 3, 9, 0, 1 },
		{ 2, 7, 9, 3, 8, 0, 6, 4, 1, 5 }, { 7, 0, 4, 6, 9, 1, 3, 2, 5, 8 },
	};
	int d[MOST], c = 0;
	size_t k = digits(s, n, d);

	if (k != 12 || d[0] < 2)
		return false;
	for (size_t i = 0; i < k; i++) {
		int x = p[i % 8][d[k - 1 - i]]; /* the product in the dihedral group of ten */
		if (c < 5)
			c = x < 5 ? (c + x) % 5 : 5 + (c + x - 5) % 5;
		else
			c = x < 5 ? 5 + (c - x) % 5 : (c - x + 5) % 5;
	}
	return c == 0;
}

static bool nric(const char *s, size_t n)
{
	static const int w[] = { 2, 7, 6, 5, 4, 3, 2 };
	char c[MOST + 1];
	int d[MOST];

	if (signs_of(s, n, c) != 9 || digits(c, 9, d) != 7)
		return false;
	int sum = weighted(d, w, 7) + (c[0] == 'T' || c[0] == 'G' ? 4 : c[0] == 'M' ? 3 : 0);
	if (c[0] == 'M')
		return c[8] == "KLJNPQRTUWX"[10 - sum % 11];
	return c[8] == (c[0] == 'S' || c[0] == 'T' ? "JZIHGFEDCBA" : "XWUTRQPNMLK")[sum % 11];
}

static bool hetu(const char *s, size_t n)
{
	char number[10];

	if (n != 11)
		return false;
	memcpy(number, s, 6);
	memcpy(number + 6, s + 7, 3);
	number[9] = 0;
	return toupper((unsigned char)s[10]) == "0123456789ABCDEFHJKLMNPRSTUVWXY"[strtoul(number, NULL, 10) % 31];
}

static bool rrn(const char *s, size_t n)
{
	static const int w[] = { 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5 };
	int d[MOST];

	return digits(s, n, d) == 13 && (11 - weighted(d, w, 12) % 11) % 10 == d[12];
}

static bool mod_11_10(const char *s, size_t n)
{
	int d[MOST], product = 10;

	if (digits(s, n, d) != 11 || !d[0] || all_same(d, 11))
		return false;
	for (int i = 0; i < 10; i++) {
		int sum = (d[i] + product) % 10;
		product = 2 * (sum ? sum : 10) % 11;
	}
	return (11 - product) % 10 == d[10];
}

static bool thai(const char *s, size_t n)
{
	static const int w[] = { 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 };
	int d[MOST];

	return digits(s, n, d) == 13 && d[0] && (11 - weighted(d, w, 12) % 11) % 10 == d[12];
}

/* An address that is somebody's: not of documentation (RFC 5737), of this host, or of nobody. */
static bool ipv4(const char *s, size_t n)
{
	int part[4] = { 0 }, k = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.')
			k++;
		else if (k > 3 || (part[k] = part[k] * 10 + s[i] - '0') > 255)
			return false;
	}
	if (k != 3 || part[0] == 0 || part[0] == 127 || part[0] >= 224)
		return false;
	return !(part[0] == 192 && part[1] == 0 && part[2] == 2) &&
	       !(part[0] == 198 && part[1] == 51 && part[2] == 100) &&
	       !(part[0] == 203 && part[1] == 0 && part[2] == 113);
}

static bool base58check(const char *s, size_t n)
{
	static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	uint8_t bytes[25] = { 0 }, digest[32];
	char hex[65];

	for (size_t i = 0; i < n; i++) {
		const char *at = strchr(alphabet, s[i]);
		unsigned carry = at ? (unsigned)(at - alphabet) : 0;
		for (int k = 24; k >= 0; k--) {
			carry += 58u * bytes[k];
			bytes[k] = (uint8_t)carry;
			carry >>= 8;
		}
		if (!at || carry)
			return false;
	}
	for (int round = 0; round < 2; round++) {
		sha_256(round ? digest : bytes, round ? 32 : 21, hex);
		for (int i = 0; i < 32; i++) {
			char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };
			digest[i] = (uint8_t)strtoul(two, NULL, 16);
		}
	}
	return !memcmp(digest, bytes + 21, 4);
}

/* The last six characters are the CRC-32 of those before, behind the last '_', in base 62. */
static bool crc_62(const char *s, size_t n)
{
	static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t from = n;
	char want[6];

	while (from && s[from - 1] != '_')
		from--;
	if (n - from < 7)
		return false;
	unsigned long c = crc32(0, (const Bytef *)s + from, (uInt)(n - 6 - from));
	for (int i = 5; i >= 0; i--, c /= 62)
		want[i] = alphabet[c % 62];
	return !memcmp(want, s + n - 6, 6);
}

/* No word, no path, no number: of the last run of letters and digits, bits a character by their own shares. A key of
 * random hexadecimal digits has above 3, one of letters and digits above 3.5. */
static bool entropy(const char *s, size_t n)
{
	int count[256] = { 0 }, digit = 0, upper = 0, lower = 0;
	size_t from = n;
	double bits = 0;

	while (n && !isalnum((unsigned char)s[n - 1]))
		n--;
	for (from = n; from && (isalnum((unsigned char)s[from - 1]) || strchr("+/_-", s[from - 1])); from--) {
	}
	for (size_t i = from; i < n; i++) {
		count[(uint8_t)s[i]]++;
		digit += isdigit((unsigned char)s[i]) != 0;
		upper += isupper((unsigned char)s[i]) != 0;
		lower += islower((unsigned char)s[i]) != 0;
	}
	for (int c = 0; c < 256; c++)
		if (count[c])
			bits -= count[c] * log2((double)count[c] / (double)(n - from));
	bits /= (double)MAX(n - from, (size_t)1);
	return n - from >= 12 && digit && upper + lower && bits >= (upper && lower ? 3.5 : 3.0);
}

static const struct check checks[] = {
	{ "luhn", luhn },
	{ "iban", iban },
	{ "ssn", ssn },
	{ "nhs", mod_11 },
	{ "npi", npi },
	{ "aba", aba },
	{ "dea", dea },
	{ "nif", nif },
	{ "codice-fiscale", codice_fiscale },
	{ "vat-it", vat_it },
	{ "pesel", pesel },
	{ "bsn", bsn },
	{ "cpf", cpf },
	{ "nir", nir },
	{ "abn", abn },
	{ "acn", acn },
	{ "tfn", tfn },
	{ "medicare-au", medicare_au },
	{ "verhoeff", verhoeff },
	{ "nric", nric },
	{ "hetu", hetu },
	{ "rrn", rrn },
	{ "mod-11-10", mod_11_10 },
	{ "thai", thai },
	{ "ipv4", ipv4, true },
	{ "base58check", base58check },
	{ "crc-62", crc_62 },
	{ "entropy", entropy },
};

const struct check *check_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (!strcmp(checks[i].name, name))
			return &checks[i];
	return NULL;
}
