/* prices: what electricity, machines, people and tokens cost, and how much carbon a kilowatt hour carries.
 *
 * prices.yaml is a flat mapping; the one that comes with the program is built in, names a source and a date for every
 * figure, and a user's file overrides it key by key. All money of a file is in its one currency; `exchange` says what
 * others are worth in it, and without it they are refused. */
#ifndef GAS_PRICES_H
#define GAS_PRICES_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/opt.h"

struct prices {
	const char *currency;          /* ISO 4217, "EUR" */
	double electricity;            /* a kWh */
	const char *electricity_source;
	double pue;                    /* power usage effectiveness: the building's share on top, 1 at home */
	/* The machine: rent by the hour, or bought: price, years of life, share of those hours in which it works. NAN:
	 * not known. */
	double machine_rent;
	double machine_price, machine_years, machine_utilization;
	const char *machine_source;
	double people;                 /* an hour of work */
	const char *people_source;
	double api_tokens_in, api_tokens_out; /* a million tokens of the API that a run is compared with */
	const char *api_source;
	const char *region;            /* of the grid: ISO 3166 "DE", "USA", … or NULL */
	double carbon_intensity;       /* g CO2e a kWh; NAN: by region */
	const char *carbon_source;
	struct opt_list exchange;      /* "USD=0.92": what one of them costs in our currency */
	struct opt_parse parse;        /* owns the strings */
};

int prices_load(struct prices *p, const char *path /* of a user's file, or NULL */, struct err *e);
void prices_release(struct prices *p);
double prices_carbon(const struct prices *p, const char **source); /* g a kWh, NAN; source: where from, borrowed */
/* to p's own */
int prices_convert(const struct prices *p, double amount, const char *currency, double *out, struct err *e);

/* OPEX and CAPEX apart. NAN: not known. total adds what is known. */
struct money { double total, low, high, electricity, rent, people, capex; char currency[4]; };
/* What of it is known, of one sum or of several that were added: a sum of electricity alone is called that. */
enum money_part { MONEY_ELECTRICITY = 1, MONEY_RENT = 2, MONEY_MACHINE = 4, MONEY_PEOPLE = 8 };
unsigned money_parts(const struct money *m);
/* "electricity", "electricity and rent (people of some runs only)": those in every sum, and those in some; "": none. */
const char *money_parts_text(unsigned any, unsigned all, char out[120]);
/* "0.04 µEUR of electricity", "1.2 EUR of electricity and rent" */
const char *money_text(double amount, const char *currency, unsigned any, unsigned all, char out[200]);
/* watt seconds with their bounds; machine seconds; people's seconds. */
void prices_cost(const struct prices *p, double joules, double low, double high, double seconds, double human_seconds,
                 struct money *m);

#endif
