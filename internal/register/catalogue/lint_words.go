package catalogue

// wordList holds the words of one language that the linter looks for. A word
// that ends in * stands for every word that begins so. Apostrophes and hyphens
// part words: "n’est pas" is written "n est pas".
type wordList struct {
	relative, undated, absolute, superlative, vague, openList []string
	password, encrypted, hashed, negative                     []string
	conjunctions, noUnits                                     []string // around numbers
}

var lintWords = map[string]wordList{
	"en": {
		relative: []string{"today", "yesterday", "tomorrow", "this week", "this month", "this year", "last week", "last month", "last year",
			"next week", "next month", "next year", "recently", "lately", "currently", "at present", "at the moment", "nowadays", "so far", "soon", "shortly"},
		undated: []string{"last test*", "latest test*", "last audit*", "latest audit*", "last penetration", "latest penetration", "last pentest", "latest pentest",
			"last security audit", "latest security audit", "planned", "will be", "could be", "in the future", "on our roadmap"},
		absolute: []string{"always", "never", "impossible", "guarantee*", "any", "100 %", "fully", "completely", "totally", "entirely", "absolutely", "perfect*",
			"at all times", "in all cases", "under no circumstances", "without exception", "cannot be bypassed", "unbreakable", "unhackable"},
		superlative: []string{"best", "highest", "safest", "strongest", "newest", "latest", "fastest", "most secure", "most advanced", "leading", "unrivaled",
			"unmatched", "superior", "second to none", "number one", "world class"},
		vague: []string{"regular", "regularly", "periodically", "frequently", "quickly", "quick", "fast", "rapid*", "prompt*", "robust*", "strict*", "strong*",
			"appropriate*", "adequate*", "best practice", "best practices", "industry standard", "continuous*", "constant*", "easily", "easy", "simple", "simply",
			"advanced", "modern", "state of the art", "cutting edge", "as soon as possible", "reasonabl*", "limited number", "high level", "military grade",
			"bank grade", "various", "as needed", "when necessary", "where necessary", "highly", "very", "flexible"},
		openList:     []string{"etc", "et cetera", "and so on", "and so forth", "and more", "among others"},
		password:     []string{"password*"},
		encrypted:    []string{"encrypt*", "ciphered"},
		hashed:       []string{"hash*"},
		negative:     []string{"not offered", "not supported", "not available", "not provided", "not offer", "not support", "offers no", "offer no", "holds no", "hold no", "we have no", "company has no"},
		conjunctions: []string{"or", "and", "to"},
		noUnits:      []string{"in", "on", "at", "for", "is", "are", "with", "within", "by", "but", "as", "after", "before"},
	},
	"fr": {
		relative: []string{"aujourd hui", "hier", "demain", "cette semaine", "ce mois", "cette année", "semaine dernière", "mois dernier", "an dernier", "année dernière",
			"semaine prochaine", "mois prochain", "an prochain", "année prochaine", "récemment", "dernièrement", "actuellement", "à ce jour", "en ce moment",
			"bientôt", "prochainement", "sous peu"},
		undated: []string{"dernier test*", "dernier audit*", "dernier pentest", "derniers tests", "derniers audits", "dernière évaluation", "prévu*", "sera", "seront",
			"pourra", "pourrait", "pourraient", "à l avenir", "feuille de route"},
		absolute: []string{"toujours", "jamais", "impossible*", "garanti*", "n importe quel*", "100 %", "totalement", "entièrement", "complètement", "absolument", "parfait*",
			"à tout moment", "en toutes circonstances", "dans tous les cas", "en aucun cas", "sans exception", "ne peut être contourné*", "inviolable*", "quel que soit", "quelle que soit"},
		superlative: []string{"meilleur*", "le plus haut", "la plus haute", "les plus haut*", "plus sûr*", "plus élevé*", "parmi les plus", "plus récent*", "dernier cri",
			"leader*", "numéro un", "inégalé*", "optimal*", "optimaux", "de pointe"},
		vague: []string{"régulier*", "régulière*", "périodiquement", "fréquemment", "rapide*", "robuste*", "strict*", "fort", "forte", "forts", "fortes", "fortement",
			"approprié*", "adéquat*", "bonnes pratiques", "meilleures pratiques", "normes du secteur", "standards du marché", "continu", "continue", "en continu",
			"constamment", "en permanence", "facile*", "simple", "simples", "simplement", "avancé*", "moderne*", "état de l art", "à la pointe", "dans les meilleurs délais",
			"dès que possible", "raisonnable*", "nombre limité", "haut niveau", "divers", "diverses", "si nécessaire", "le cas échéant", "hautement", "très", "souple*", "flexible*"},
		openList:     []string{"etc", "et ainsi de suite", "et bien d autres", "et plus encore", "entre autres", "notamment"},
		password:     []string{"mot de passe", "mots de passe"},
		encrypted:    []string{"chiffré*", "chiffrement*", "crypté*", "cryptage"},
		hashed:       []string{"hach*", "hash*"},
		negative:     []string{"n est pas proposé*", "ne sont pas proposé*", "n est pas pris*", "ne sont pas pris*", "n est pas disponible", "ne sont pas disponibles", "ne propos* pas", "ne détien* aucun*", "ne détenons aucun*", "n avons aucun*", "n avons pas"},
		conjunctions: []string{"ou", "et", "à"},
		noUnits:      []string{"en", "sur", "dans", "pour", "est", "sont", "avec", "par", "mais", "après", "avant", "au"},
	},
	"nl": {
		relative: []string{"vandaag", "gisteren", "morgen", "deze week", "deze maand", "dit jaar", "vorige week", "vorige maand", "vorig jaar", "afgelopen week", "afgelopen maand", "afgelopen jaar",
			"volgende week", "volgende maand", "volgend jaar", "recent", "recentelijk", "onlangs", "momenteel", "op dit moment", "tegenwoordig", "thans", "binnenkort", "tot nu toe"},
		undated: []string{"laatste test*", "laatste audit*", "laatste pentest", "laatste penetratie*", "laatste beveiligings*", "meest recente", "gepland*", "zal", "zullen",
			"zou kunnen", "in de toekomst", "roadmap"},
		absolute: []string{"altijd", "nooit", "onmogelijk*", "garandeer*", "garantie*", "gegarandeerd*", "100 %", "volledig*", "volkomen", "geheel", "absoluut", "absolute", "perfect*",
			"te allen tijde", "op elk moment", "in alle gevallen", "in geen geval", "zonder uitzondering", "niet te omzeilen", "kan niet worden omzeild", "onkraakbaar", "welke dan ook"},
		superlative: []string{"beste", "de hoogste", "het hoogste", "hoogste niveau", "hoogste beveiliging*", "veiligste", "sterkste", "nieuwste", "snelste", "meest geavanceerd*", "toonaangevend*",
			"marktleider*", "nummer één", "ongeëvenaard*", "optimaal", "optimale", "superieur*"},
		vague: []string{"regelmatig*", "geregeld", "periodiek*", "vaak", "snel", "snelle", "spoedig", "robuust*", "robuuste", "strikt*", "streng*", "sterk", "sterke", "passend*",
			"adequaat", "adequate", "best practice", "best practices", "industriestandaard", "continu", "continue", "voortdurend*", "constant*", "eenvoudig*", "gemakkelijk*", "makkelijk*",
			"geavanceerd*", "modern*", "stand van de techniek", "zo snel mogelijk", "redelijk*", "beperkt aantal", "hoog niveau", "diverse", "indien nodig", "waar nodig", "zeer", "flexibel*", "flexibele"},
		openList:     []string{"etc", "enz", "enzovoort*", "et cetera", "en meer", "onder andere", "onder meer"},
		password:     []string{"wachtwoord*"},
		encrypted:    []string{"versleutel*", "gecodeerd*", "geëncrypt*"},
		hashed:       []string{"hash*", "gehasht*"},
		negative:     []string{"niet aangeboden", "niet ondersteund", "niet beschikbaar", "bieden geen", "biedt geen", "wij hebben geen", "we hebben geen", "bedrijf heeft geen", "ondersteunen geen", "ondersteunt geen"},
		conjunctions: []string{"of", "en", "tot"},
		noUnits:      []string{"in", "op", "aan", "voor", "is", "zijn", "met", "binnen", "door", "maar", "na"},
	},
}

// agingNames are names of products, versions and withdrawn standards: a page
// that prints them is out of date before anyone edits it.
var agingNames = []string{
	"debian", "ubuntu", "centos", "php", "symfony", "nginx", "redis", "mongodb", "elasticsearch", "centrifugo", "kubernetes", "keycloak",
	"identityserver*", "new relic", "datadog", "pingdom", "sonarqube", "circleci", "ansible", "vagrant", "zendesk", "github", "statuspage",
	"ssl", "tls 1 0", "tls 1 1", "sha 1", "sha1", "md5", "fips 140 2", "sas 70", "sas70", "ssae 16", "ssae16",
}

// standardNames are words after which a number is part of a name.
var standardNames = []string{
	"tls", "ssl", "saml", "oauth", "scim", "iso", "iec", "iso/iec", "soc", "sas", "ssae", "fips", "sp", "rev", "rfc", "nist", "owasp",
	"pci", "asvs", "version", "versie", "type", "annex", "annexe", "bijlage", "article", "artikel", "art",
}
