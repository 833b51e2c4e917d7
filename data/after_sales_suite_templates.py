"""What the suite's generated cases are made from: whole messages and products that no training sample uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """One message with slots and the part of its ticket that the wording fixes.

    Slots: {one} a product without a number, {n} {many} a number of them ({n}{m}{one} in Chinese), {o} order
    number, {amt} sum, {on}/{d} the day. `days` is how long ago that day may be, `dollars` the range of the sum
    where it is not the price of the goods. `follow` is a second message; `later` names the keys said only there.
    """

    id: str
    intent: str
    requested_action: str
    urgency: str
    kind: str
    text: str
    days: tuple[int, int] = (4, 20)
    dollars: tuple[int, int] | None = None
    follow: str = ""
    later: tuple[str, ...] = ()


PRODUCTS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "en": {
        "electric": [
            ("electric kettle", "electric kettles"),
            ("Dyson heater", "Dyson heaters"),
            ("projector", "projectors"),
            ("wifi router", "wifi routers"),
            ("label printer", "label printers"),
            ("ice cream maker", "ice cream makers"),
            ("Sony soundbar", "Sony soundbars"),
            ("turntable", "turntables"),
            ("night light", "night lights"),
            ("kitchen scale", "kitchen scales"),
            ("doorbell camera", "doorbell cameras"),
            ("milk frother", "milk frothers"),
            ("beard trimmer", "beard trimmers"),
            ("slow cooker", "slow cookers"),
        ],
        "wear": [
            ("cardigan", "cardigans"),
            ("rain poncho", "rain ponchos"),
            ("polo shirt", "polo shirts"),
            ("ski jacket", "ski jackets"),
            ("bathrobe", "bathrobes"),
            ("Nike hoodie", "Nike hoodies"),
            ("wedding suit", "wedding suits"),
            ("trench coat", "trench coats"),
        ],
        "house": [
            ("duvet cover", "duvet covers"),
            ("bar stool", "bar stools"),
            ("doormat", "doormats"),
            ("bird feeder", "bird feeders"),
            ("chess set", "chess sets"),
            ("laundry basket", "laundry baskets"),
            ("IKEA lampshade", "IKEA lampshades"),
            ("yoga mat", "yoga mats"),
        ],
        "fragile": [
            ("flower vase", "flower vases"),
            ("salad bowl", "salad bowls"),
            ("wall clock", "wall clocks"),
            ("teapot", "teapots"),
        ],
    },
    "zh": {
        "electric": [
            ("投影仪", "台"),
            ("吸尘器", "台"),
            ("电磁炉", "台"),
            ("索尼降噪耳机", "副"),
            ("除湿机", "台"),
            ("打印机", "台"),
            ("剃须刀", "个"),
            ("饮水机", "台"),
            ("洗碗机", "台"),
            ("电子秤", "个"),
            ("小爱门铃", "个"),
            ("筋膜枪", "把"),
            ("榨汁机", "台"),
            ("蒸烤箱", "台"),
        ],
        "wear": [
            ("西装外套", "件"),
            ("卫衣", "件"),
            ("针织衫", "件"),
            ("旗袍", "件"),
            ("睡衣", "套"),
            ("安踏马甲", "件"),
            ("衬衫", "件"),
            ("风衣", "件"),
        ],
        "house": [
            ("蚕丝被", "床"),
            ("茶几", "张"),
            ("地毯", "块"),
            ("积木", "盒"),
            ("鞋柜", "个"),
            ("瑜伽垫", "张"),
            ("衣帽架", "个"),
            ("相册", "本"),
        ],
        "fragile": [("花瓶", "个"), ("砂锅", "口"), ("茶壶", "把"), ("鱼缸", "个")],
    },
}

ENGLISH = [
    Template(
        "en-return-spouse", "return", "refund", "normal", "house",
        "My husband had the very same idea for our anniversary, so the {one} I got from you {on} has to go back. "
        "I'd like to return it and have the {amt} refunded. The reference on the confirmation mail is {o}.",
    ),
    Template(
        "en-return-howto", "return", "answer", "low", "wear",
        "Evening all. The {one} from order {o} isn't really my style and I'm thinking of returning it. Is there a "
        "form to fill in, and is the return free? No pressure, I'm in no hurry at all.",
    ),
    Template(
        "en-return-where", "return", "track", "normal", "electric",
        "About my return: your courier collected the {n} {many} (purchased {on}) and the website shows nothing. Could "
        "you track the package and tell me if your warehouse has it? Order ID {o}",
        days=(9, 24),
    ),
    Template(
        "en-exchange-size", "exchange", "replace", "high", "wear",
        "I asked for size 42 and the label in the {one} says 38! The party is on Saturday, so I need this quickly. "
        "Please exchange it for the size I ordered. {o} is my order.",
    ),
    Template(
        "en-exchange-money", "exchange", "refund", "normal", "house",
        "We picked the {one} in dark blue, yet the package had it in yellow. It cost {amt}. Honestly I don't trust "
        "you to get it right next time, so just refund it.",
    ),
    Template(
        "en-repair-fix", "repair", "repair", "normal", "electric",
        "Since this morning my {one} shows error E4 and refuses to start. Purchase date was {d}, your ref {o}. "
        "Do you have a service centre that can repair it?",
        days=(15, 60),
    ),
    Template(
        "en-repair-new", "repair", "replace", "high", "fragile",
        "Both sides of the package were crushed and of the {n} {many} not a single one is in one piece, all broken. "
        "We open our cafe tomorrow morning, so replacements must go out right away. {o}, {amt}.",
    ),
    Template(
        "en-repair-money", "repair", "refund", "normal", "electric",
        "This is the second {one} from you that quit on me within a month. I've had enough of faulty stuff. Refund "
        "the {amt} to my PayPal, I don't want another one.",
    ),
    Template(
        "en-missing-send", "missing", "resend", "normal", "house",
        "The carton came {on} and I counted three times: {n} {many} are missing. The slip in the carton lists "
        "them though. Could you send them on? Order {o}, thank you so much.",
        days=(0, 3),
    ),
    Template(
        "en-missing-money", "missing", "refund", "low", "wear",
        "Got my delivery, but someone left the {one} out of it. By now I bought one in town, so simply refund the "
        "{amt}. It can wait until you are back from the holidays.",
    ),
    Template(
        "en-delay-where", "delivery", "track", "normal", "electric",
        "Could somebody look into {o}? I bought {n} {many} {on} and so far nobody has delivered anything. What does "
        "the carrier's tracking say, where is the shipment?",
        days=(8, 25),
    ),
    Template(
        "en-delay-again", "delivery", "resend", "high", "house",
        "The postman swears he lost my package with the {one}. I can't wait another month, it's for my mum's 70th "
        "birthday this Sunday! Please send it out once more today. {o}",
    ),
    Template(
        "en-delay-cancel", "delivery", "cancel", "normal", "wear",
        "Ordered {on}, promised within 48 hours, and the {one} is still not here. I've lost patience, so cancel "
        "the order for me. Number {o}.",
        days=(7, 20),
    ),
    Template(
        "en-charge-back", "charge", "refund", "high", "house",
        "My bank statement shows {amt} from your shop two times although I paid for {n} {many} only once. Refund "
        "the second charge at once or I'll dispute it with the bank. {o}",
    ),
    Template(
        "en-charge-why", "charge", "answer", "normal", "electric",
        "Hey there! Checkout said free delivery for the {one}, then {amt} extra came off my credit card. I bought it "
        "{on}. What was I charged for? Would love an explanation :)",
        days=(1, 9),
        dollars=(5, 25),
    ),
    Template(
        "en-invoice-tax", "invoice", "invoice", "normal", "electric",
        "For my expense report I require a VAT invoice for {n} {many}, {amt} altogether, bought {on}. Could you "
        "send the invoice to this address? Ta, Gareth",
    ),
    Template(
        "en-invoice-later", "invoice", "invoice", "high", "house",
        "Hello, our auditor comes on Thursday and the invoice for order {o} is nowhere to be found, it's pressing. "
        "Send me a copy of that invoice straight away please.",
    ),
    Template(
        "en-cancel-budget", "cancel", "cancel", "normal", "electric",
        "We went over budget this month, sadly. Kindly cancel {o}, that is {n} {many} I ordered {on}. As far as I "
        "can see nothing has left your warehouse.",
        days=(0, 2),
    ),
    Template(
        "en-cancel-then", "cancel", "cancel", "low", "wear",
        "Morning! Looks like the {one} is sitting in my order list although I only meant to save it to my wish list. "
        "Not pressing, but could that order be cancelled before you ship it?",
        follow="Found it in the mail: order {o}, it was {amt}.",
        later=("order_id", "amount"),
    ),
    Template(
        "en-question-fit", "question", "answer", "normal", "house",
        "Quick question before I buy. Your page lists the {one} at {amt}. Would it be cheaper if I take {n}, and "
        "can the courier carry it up to the fourth floor?",
        dollars=(12, 110),
    ),
]  # fmt: skip

CHINESE = [
    Template(
        "zh-return-dup", "return", "refund", "normal", "house",
        "{d}在你家买了{one}，没想到老公也买了一样的，家里用不了这么多，想退回给你们，{amt}请退到我支付宝。订单{o}",
    ),
    Template(
        "zh-return-how", "return", "answer", "low", "wear",
        "晚上好，{one}上身效果一般，考虑退货。想问下退货要填什么单子，邮费是不是我自己付？我不着急，看到回我就好～订单号{o}",
    ),
    Template(
        "zh-return-wait", "return", "track", "normal", "electric",
        "{d}买的{n}{m}{one}已经交给快递员退给你们了，退货进度半天没变。能不能帮忙查下退货包裹到没到仓库？编号{o}",
        days=(9, 24),
    ),
    Template(
        "zh-exchange-size", "exchange", "replace", "high", "wear",
        "明明选的是L码，寄来的{one}吊牌上写着S！后天婚礼就要穿，十万火急，赶紧给我换成L码！订单号 {o}",
    ),
    Template(
        "zh-exchange-money", "exchange", "refund", "normal", "house",
        "{one}我要的是米色，寄来却是大红，颜色完全不对。{amt}呢，也不想再折腾换了，钱退我就好。",
    ),
    Template(
        "zh-repair-fix", "repair", "repair", "normal", "electric",
        "家里的{one}从今早起怎么都打不开，指示灯一直闪。{d}在你家下的单，{o}。附近有没有维修点可以修？",
        days=(15, 60),
    ),
    Template(
        "zh-repair-new", "repair", "replace", "high", "fragile",
        "外箱都压扁了，里面{n}{m}{one}没有一个是完好的，全碎。店里明天开张等着用，请立即换一批新的寄来！{o}，货款{amt}。",
    ),
    Template(
        "zh-repair-money", "repair", "refund", "normal", "electric",
        "这已经是第二回了，{one}又出故障，按什么都没反应。修我也不要，换我也不要，{amt}原路退款吧。",
    ),
    Template(
        "zh-missing-send", "missing", "resend", "normal", "house",
        "箱子是{d}送来的，数了三遍，还差{n}{m}{one}，装箱单上倒是写着的。请你们补寄一下，订单{o}，感谢！",
        days=(0, 3),
    ),
    Template(
        "zh-missing-money", "missing", "refund", "low", "wear",
        "货到了，唯独{one}忘记给我放了。我已经在商场另外买了，所以不必补寄，把{amt}退还给我即可，过完节再弄也行，不着急。",
    ),
    Template(
        "zh-delay-where", "delivery", "track", "normal", "electric",
        "麻烦看一下{o}这单，{d}买了{n}{m}{one}，到今天连影子都没见着。物流信息显示在哪里？帮忙查一查。",
        days=(8, 25),
    ),
    Template(
        "zh-delay-again", "delivery", "resend", "high", "house",
        "快递小哥承认把我的{one}弄丢了。这是给我爸过七十大寿的，礼拜天就要，今天务必重新给我寄出！！{o}",
    ),
    Template(
        "zh-delay-cancel", "delivery", "cancel", "normal", "wear",
        "{d}下单时承诺48小时送达，{one}到现在还没送来，我不等了，这个订单给我取消。编号是{o}。",
        days=(7, 20),
    ),
    Template(
        "zh-charge-back", "charge", "refund", "high", "house",
        "只买了一回{n}{m}{one}，银行短信却显示你们店扣了两回{amt}。多扣的那笔立刻退给我，否则我找银行和媒体！订单{o}",
    ),
    Template(
        "zh-charge-why", "charge", "answer", "normal", "electric",
        "{d}买{one}，结账时写着免运费，信用卡却又被多扣{amt}，我想知道为什么会多收这笔钱？",
        days=(1, 9),
        dollars=(5, 25),
    ),
    Template(
        "zh-invoice-tax", "invoice", "invoice", "normal", "electric",
        "单位要报销，{d}买的{n}{m}{one}，合计{amt}，请给我开一张增值税专用发票，电子版就行。",
    ),
    Template(
        "zh-invoice-later", "invoice", "invoice", "high", "house",
        "您好，审计礼拜四就来查账，{o}这一单的发票怎么都找不着了，非常着急，请马上再发我一份发票。",
    ),
    Template(
        "zh-cancel-budget", "cancel", "cancel", "normal", "electric",
        "这个月超支了，{d}下的{n}{m}{one}不能要了。我看仓库那边还没出库，{o}这单替我取消一下。",
        days=(0, 2),
    ),
    Template(
        "zh-cancel-then", "cancel", "cancel", "low", "wear",
        "早！本来只想把{one}加进收藏，没想到直接下了单。还没出库的话，能否把订单取消？这个不急的。",
        follow="邮件里找到了，订单是{o}，{amt}。",
        later=("order_id", "amount"),
    ),
    Template(
        "zh-question-fit", "question", "answer", "normal", "house",
        "买之前问一句，{one}网页上写{amt}，一次拿{n}{m}能不能便宜点？没电梯的话送货上四楼吗？",
        dollars=(12, 110),
    ),
]  # fmt: skip

TEMPLATES: dict[str, list[Template]] = {"en": ENGLISH, "zh": CHINESE}
