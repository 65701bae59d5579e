// What is wrong with a record, and why the console refuses something, in Korean. The rules write it in
// English, and so it is stored; a sentence that is not known here stays as it is.

const language = document.documentElement.lang;

const KINDS = {
  "a string": "문자열", "a number": "숫자", text: "텍스트", nothing: "없음", "an array": "배열", "an object": "객체",
  "a whole number": "정수", "a string or a number": "문자열 또는 숫자", null: "null", "a boolean": "불리언",
  "YYMMDDHH, ISO 8601 or epoch time": "YYMMDDHH, ISO 8601 또는 에포크 시각",
};

const WANTED = {
  "the end of the record": "레코드의 끝", "a field name": "필드 이름", "a value": "값", "a digit": "숫자",
  "a string without raw control characters": "제어 문자가 없는 문자열", "the end of a string": "문자열의 끝",
  "an escape": "이스케이프", "the second half of a surrogate pair": "서로게이트 쌍의 뒷부분",
  "the first half of a surrogate pair": "서로게이트 쌍의 앞부분", "a hexadecimal digit": "16진수 숫자",
  "a colon": "쌍점", "a comma": "쉼표",
};

/** What a record is instead of an event, and what to do; commands stay as they are. */
const FOREIGN = {
  MessagePack: "MessagePack", CBOR: "CBOR", BSON: "BSON", XML: "XML", "an HTML page": "HTML 페이지", "an Avro message": "Avro 메시지",
  "a zip archive": "zip 파일", "UTF-16 text": "UTF-16 텍스트", "UTF-32 text": "UTF-32 텍스트", "percent-encoded": "퍼센트 인코딩",
  "a multipart body": "multipart 본문", "a PDF file": "PDF 파일", "a spreadsheet file": "스프레드시트 파일",
  "a message with Confluent's magic byte and schema id in front": "앞에 Confluent 매직 바이트와 스키마 ID가 붙은 메시지",
  "a sequence of JSON texts with record separators (RFC 7464)": "레코드 구분자가 있는 JSON 시퀀스(RFC 7464)",
};

const CURES = {
  "send JSON instead": "JSON으로 보내세요", "convert it to CSV or NDJSON": "CSV나 NDJSON으로 변환하세요",
  "it comes from a server or proxy instead of the file; fetch the file again": "파일 대신 서버나 프록시의 응답을 받았습니다. 파일을 다시 받으세요",
  "send each event as plain JSON, and let the client compress whole batches": "이벤트는 일반 JSON으로 보내고 압축은 배치 전체에 적용하세요",
  "save the sheet as CSV (UTF-8)": "시트를 CSV(UTF-8)로 저장하세요",
};

const foreign = (what) => {
  const packed = /^compressed with (.+)$/.exec(what);
  return packed ? `${packed[1]} 압축` : FOREIGN[what] ?? what;
};

/** Why a time is none, and what is allowed. */
const IMPOSSIBLE = {
  "the month has no such day": "그 달에 없는 날짜입니다", "year is not in #..=#": "연도가 범위를 벗어납니다",
  "month is not in #..=#": "월이 범위를 벗어납니다", "hour is not in #..=#": "시가 범위를 벗어납니다",
  "minute or second is not in #..=#": "분 또는 초가 범위를 벗어납니다",
};

const impossible = (reason) => {
  const [, range] = /(\d+\.\.=\d+)/.exec(reason) ?? [];
  const known = IMPOSSIBLE[reason.replace(/\d+/g, "#")];
  return known && range ? `${known}(${range.replace("..=", "~")})` : known ?? reason;
};

const kind = (name) => KINDS[name] ?? name;
const wanted = (name) => WANTED[name] ?? name;
const NUMBER = "(#|[\\d,]+)";
const VALUE = "(\"…\"|\".*\"|.+?)";

/** A pattern of the whole sentence, and the sentence made of its parts. */
const SENTENCES = [
  ["hour \\(or event_time\\) is missing", () => "hour(또는 event_time) 필드가 없습니다"],
  ["(\\w+) is missing", (field) => `${field} 필드가 없습니다`],
  [`(\\w+) is (${Object.keys(KINDS).join("|")}|true|false|null) and should be (.+)`, (field, found, should) => `${field}에는 ${kind(should)}이(가) 필요한데 ${kind(found)}이(가) 들어왔습니다`],
  [`(\\w+) ${VALUE}: (the month has no such day|(?:year|month|hour|minute or second) is not in .+)`, (field, value, why) => `${field}의 값 ${value}: ${impossible(why)}`],
  [`id ${VALUE} is not ${NUMBER} to ${NUMBER} printable ASCII characters without spaces around`, (id, least, most) => `id ${id}은(는) 앞뒤 공백이 없는 출력 가능한 ASCII 문자 ${least}~${most}자가 아닙니다`],
  [`(\\w+) ${VALUE} is not a whole number`, (field, value) => `${field}의 값 ${value}은(는) 정수가 아닙니다`],
  [`(\\w+) ${VALUE} is out of range (\\S+)\\.\\.=(\\S+)`, (field, value, least, most) => `${field}의 값 ${value}이(가) 범위(${least}~${most})를 벗어납니다`],
  [`(\\w+) has ${NUMBER} characters and may have ${NUMBER} to ${NUMBER}`, (field, count, least, most) => `${field}은(는) ${least}~${most}자여야 하는데 ${count}자입니다`],
  [`(\\w+) ${VALUE} holds a control character`, (field, value) => `${field}의 값 ${value}에 제어 문자가 있습니다`],
  ["hour says (.+) but event_time says (.+)", (hour, exact) => `hour는 ${hour}, event_time은 ${exact}(으)로 서로 다릅니다`],
  [`(\\w+) ${VALUE} is not YYMMDDHH, ISO 8601 or epoch time`, (field, value) => `${field}의 값 ${value}은(는) YYMMDDHH, ISO 8601 또는 에포크 시각이 아닙니다`],
  [`event time (.+) is more than ${NUMBER} s ahead of the clock`, (time, span) => `이벤트 시각 ${time}이(가) 현재 시각보다 ${span}초 넘게 앞섭니다`],
  [`not valid UTF-[8#] at byte ${NUMBER}`, (at) => `${at}번째 바이트가 올바른 UTF-8이 아닙니다`],
  [`the record ends at byte ${NUMBER} where (.+) should be`, (at, should) => `레코드가 ${at}번째 바이트에서 끝납니다. ${wanted(should)}이(가) 와야 합니다`],
  [`(.+) at byte ${NUMBER} where (.+) should be`, (found, at, should) => `${at}번째 바이트: ${wanted(should)} 자리에 ${found}이(가) 있습니다`],
  [`nested deeper than ${NUMBER} levels at byte ${NUMBER}`, (levels, at) => `${at}번째 바이트에서 중첩이 ${levels}단계를 넘습니다`],
  ["not valid UTF-[8#]", () => "올바른 UTF-8이 아닙니다"],
  ["the row and the header differ in their number of cells", () => "행과 헤더의 칸 수가 다릅니다"],
  ["the record is ([^;]+); (.+)", (what, cure) => `레코드가 이벤트가 아니라 다른 형식입니다: ${foreign(what)}. ${CURES[cure] ?? cure}`],
  ["the record is empty", () => "레코드가 비어 있습니다"],
  ["the record is JSON but not an object", () => "레코드가 JSON이지만 객체가 아닙니다"],
  [`the row has ${NUMBER} cells and the header ${NUMBER}`, (cells, columns) => `행의 칸은 ${cells}개인데 헤더는 ${columns}개입니다`],
  [`a quote opened at byte ${NUMBER} that is not closed`, (at) => `${at}번째 바이트에서 열린 따옴표가 닫히지 않았습니다`],
  [`text behind a closing quote at byte ${NUMBER}`, (at) => `${at}번째 바이트의 닫는 따옴표 뒤에 텍스트가 있습니다`],
  ...Object.entries({
    "the page is out of date; load it again": "페이지가 오래되었습니다. 새로고침하세요",
    "internal error; the log of adpipe says more": "내부 오류입니다. 자세한 내용은 adpipe 로그에 있습니다",
    "other long searches are running; try again in a moment": "다른 긴 검색이 진행 중입니다. 잠시 후 다시 시도하세요",
    "the console is busy with other requests; try again shortly": "콘솔이 다른 요청을 처리하는 중입니다. 잠시 후 다시 시도하세요",
    "too many answers wait to be taken; try again shortly": "보낼 응답이 너무 많이 밀려 있습니다. 잠시 후 다시 시도하세요",
    "too many pages listen already; close some": "열린 페이지가 너무 많습니다. 몇 개를 닫으세요",
    "the bulk action has already ended": "일괄 작업이 이미 끝났습니다",
    "this error has not been edited": "이 오류는 편집된 적이 없습니다",
    "this edit changes nothing": "이 편집은 아무것도 바꾸지 않습니다",
    "adpipe is shutting down": "adpipe가 종료되는 중입니다",
    "the lag cannot be measured now": "지금은 대기를 측정할 수 없습니다",
    "it was already requested a moment ago": "방금 이미 요청되었습니다",
    "a silence must last for more than zero": "음소거 시간을 지정해야 합니다",
  }).map(([english, korean]) => [english, () => korean]),
  ["error (\\S+) does not exist", (id) => `오류 ${id}을(를) 찾을 수 없습니다`],
  ["there is no (alert|silence) (\\S+?)(?:, or it has ended)?", (what, id) => `${{ alert: "알림", silence: "음소거" }[what]} ${id}을(를) 찾을 수 없습니다`],
  ["there is no DAG \"(.*)\"; there are: (.*)", (id, all) => `${id} DAG가 없습니다. 사용할 수 있는 DAG: ${all}`],
  ["the edit is not a JSON Patch: (.*)", (why) => `편집 내용이 JSON Patch가 아닙니다: ${why}`],
  ["run (\\S+) is (?:already )?(\\S+)", (run, state) => `실행 ${run}의 상태가 ${state}입니다`],
].map(([pattern, sentence]) => [new RegExp(`^${pattern}$`, "su"), sentence]);

/** By which names a mapped field was looked for; it follows the message itself. */
const READ_FROM = /^(.*); (\w+) is read from ([^;]+)$/su;

/** An error's message in the language of the page. */
export function inWords(message) {
  if (language !== "ko" || !message) return message;
  const mapped = READ_FROM.exec(message);
  if (mapped) return `${inWords(mapped[1])}. ${mapped[2]}은(는) ${mapped[3].replaceAll(" or ", ", ")}에서 읽습니다`;
  for (const [pattern, sentence] of SENTENCES) {
    const found = pattern.exec(message);
    if (found) return sentence(...found.slice(1));
  }
  return message;
}
