//! The countries that the device knows by name (SonicOS reference 3.1). The device's own list is not public in full: these are
//! common English names. Do not use this as the list of the device.

/// The two letters for a full name; a code is not a name.
pub(super) fn code(name: &str) -> Option<&'static str> {
    let mut known = NAMES.lines().filter_map(|line| line.split_once(' '));
    known
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|(code, _)| code)
}

const NAMES: &str = "\
AF Afghanistan
AL Albania
DZ Algeria
AD Andorra
AO Angola
AR Argentina
AM Armenia
AU Australia
AT Austria
AZ Azerbaijan
BS Bahamas
BH Bahrain
BD Bangladesh
BB Barbados
BY Belarus
BE Belgium
BZ Belize
BJ Benin
BT Bhutan
BO Bolivia
BA Bosnia and Herzegovina
BW Botswana
BR Brazil
BN Brunei Darussalam
BG Bulgaria
BF Burkina Faso
BI Burundi
KH Cambodia
CM Cameroon
CA Canada
TD Chad
CL Chile
CN China
CO Colombia
CR Costa Rica
HR Croatia
CU Cuba
CY Cyprus
CZ Czech Republic
DK Denmark
DO Dominican Republic
EC Ecuador
EG Egypt
SV El Salvador
EE Estonia
ET Ethiopia
FJ Fiji
FI Finland
FR France
GA Gabon
GM Gambia
GE Georgia
DE Germany
GH Ghana
GR Greece
GT Guatemala
GN Guinea
HT Haiti
HN Honduras
HK Hong Kong
HU Hungary
IS Iceland
IN India
ID Indonesia
IR Iran
IQ Iraq
IE Ireland
IL Israel
IT Italy
JM Jamaica
JP Japan
JO Jordan
KZ Kazakhstan
KE Kenya
KW Kuwait
KG Kyrgyzstan
LV Latvia
LB Lebanon
LR Liberia
LY Libya
LI Liechtenstein
LT Lithuania
LU Luxembourg
MO Macau
MK Macedonia
MG Madagascar
MW Malawi
MY Malaysia
MV Maldives
ML Mali
MT Malta
MR Mauritania
MU Mauritius
MX Mexico
MD Moldova
MC Monaco
MN Mongolia
ME Montenegro
MA Morocco
MZ Mozambique
MM Myanmar
NA Namibia
NP Nepal
NL Netherlands
NZ New Zealand
NI Nicaragua
NE Niger
NG Nigeria
NO Norway
OM Oman
PK Pakistan
PA Panama
PY Paraguay
PE Peru
PH Philippines
PL Poland
PT Portugal
QA Qatar
RO Romania
RU Russian Federation
RW Rwanda
SM San Marino
SA Saudi Arabia
SN Senegal
RS Serbia
SC Seychelles
SG Singapore
SK Slovakia
SI Slovenia
SO Somalia
ZA South Africa
KR South Korea
ES Spain
LK Sri Lanka
SD Sudan
SE Sweden
CH Switzerland
SY Syria
TW Taiwan
TJ Tajikistan
TZ Tanzania
TH Thailand
TG Togo
TT Trinidad and Tobago
TN Tunisia
TR Turkey
TM Turkmenistan
UG Uganda
UA Ukraine
AE United Arab Emirates
GB United Kingdom
US United States
UY Uruguay
UZ Uzbekistan
VA Vatican
VE Venezuela
VN Vietnam
YE Yemen
ZM Zambia
ZW Zimbabwe";

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn names_are_known_in_any_case_and_codes_are_not() {
        assert_eq!(code("CHINA"), Some("CN"));
        assert_eq!(code("United States"), Some("US"));
        assert_eq!(code("US"), None);
    }
}
